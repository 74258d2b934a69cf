// Every kernel of every instruction set against kernels_scalar.cc, the executable specification: memcmp, no
// tolerance.
#include "kernels.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "check.h"
#include "numerics.h"
#include "organ/error.h"

namespace organ {
namespace {

constexpr float kPoison = std::numeric_limits<float>::quiet_NaN();

// 64-byte aligned: the kernels load a cell of weights as one register.
struct AlignedWeights {
  explicit AlignedWeights(size_t count, std::mt19937& random) : storage(count + 32) {
    data = reinterpret_cast<uint16_t*>((reinterpret_cast<uintptr_t>(storage.data()) + 63) / 64 * 64);
    std::normal_distribution<float> normal;
    for (size_t i = 0; i < count; ++i) {
      const float value = normal(random);
      uint32_t bits;
      std::memcpy(&bits, &value, 4);
      data[i] = static_cast<uint16_t>(bits >> 16);
    }
  }
  std::vector<uint16_t> storage;
  uint16_t* data;
};

std::vector<float> random_floats(size_t count, std::mt19937& random, float scale = 1.0f) {
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

template <class Run>
void each_isa(Run run) {
  for (const std::string_view isa : available_isas())
    if (isa != "scalar") run(select_kernels(isa));
}

TEST(gemm_matches_for_all_row_counts_and_odd_depths) {
  std::mt19937 random(1);
  // 2 and 30: less than a K block; 1024: one; 2050: two and a rest of one cell.
  for (const int k : {2, 30, 1024, 2050}) {
    const int panels = 11;
    const AlignedWeights w(static_cast<size_t>(panels * k * kLanes), random);
    for (int rows = 1; rows <= 26; ++rows) {
      const int64_t x_stride = k + 3, y_stride = panels * kLanes + 5;
      const auto x = random_floats(static_cast<size_t>(rows * x_stride), random);
      std::vector<float> expected(static_cast<size_t>(rows * y_stride), kPoison);
      kScalarKernels.gemm({x.data(), x_stride}, rows, w.data, k, 1, panels, {expected.data(), y_stride});
      each_isa([&](const Kernels& kernels) {
        std::vector<float> got(expected.size(), kPoison);
        kernels.gemm({x.data(), x_stride}, rows, w.data, k, 1, panels, {got.data(), y_stride});
        CHECK(same_bits(expected, got));
      });
    }
  }
}

TEST(gemm_matches_beyond_a_row_block) {
  std::mt19937 random(2);
  const int k = 64, panels = 3, rows = 211;
  const AlignedWeights w(static_cast<size_t>(panels * k * kLanes), random);
  const auto x = random_floats(static_cast<size_t>(rows * k), random);
  std::vector<float> expected(static_cast<size_t>(rows * panels * kLanes));
  kScalarKernels.gemm({x.data(), k}, rows, w.data, k, 0, panels, {expected.data(), panels * kLanes});
  each_isa([&](const Kernels& kernels) {
    std::vector<float> got(expected.size(), kPoison);
    kernels.gemm({x.data(), k}, rows, w.data, k, 0, panels, {got.data(), panels * kLanes});
    CHECK(same_bits(expected, got));
  });
}

TEST(attend_matches_and_ignores_keys_beyond_the_length) {
  std::mt19937 random(3);
  for (const int dim : {16, 64}) {
    for (const int heads : {1, 3, 7, 9}) {
      for (const int length : {1, 2, 15, 16, 17, 40, 131}) {
        const int padded = (length + 15) / 16 * 16;
        const auto q = random_floats(static_cast<size_t>(heads * dim), random);
        auto keys = random_floats(static_cast<size_t>(padded * dim), random);
        const auto values = random_floats(static_cast<size_t>(length * dim), random);
        for (int t = length; t < padded; ++t)
          for (int d = 0; d < dim; ++d) keys[static_cast<size_t>((t / 16) * 16 * dim + d * 16 + t % 16)] = kPoison;
        const auto run = [&](const Kernels& kernels) {
          std::vector<float> scores(static_cast<size_t>(heads * padded), kPoison);
          std::vector<float> out(static_cast<size_t>(heads * dim), kPoison);
          kernels.attend({.q = q.data(),
                          .keys = keys.data(),
                          .values = values.data(),
                          .scores = scores.data(),
                          .out = out.data(),
                          .heads = heads,
                          .head_dim = dim,
                          .length = length,
                          .scale = 0.125f});
          return out;
        };
        const auto expected = run(kScalarKernels);
        for (const float value : expected) CHECK(std::isfinite(value));
        each_isa([&](const Kernels& kernels) { CHECK(same_bits(expected, run(kernels))); });
      }
    }
  }
}

TEST(row_kernels_match) {
  std::mt19937 random(4);
  for (const int n : {16, 48, 576, 896}) {
    const auto x = random_floats(static_cast<size_t>(n), random, 30.0f);
    const auto w = random_floats(static_cast<size_t>(n), random);
    const auto run = [&](const Kernels& kernels) {
      std::vector<float> all(static_cast<size_t>(n));
      kernels.rms_norm(x.data(), w.data(), n, 1e-6f, all.data());
      auto sum = x;
      kernels.add(sum.data(), w.data(), n);
      auto gate = x;
      kernels.swiglu(gate.data(), w.data(), n);
      all.insert(all.end(), sum.begin(), sum.end());
      all.insert(all.end(), gate.begin(), gate.end());
      for (const int part : {0, 1, 15, 16, n - 1, n}) all.push_back(kernels.maximum(x.data(), part));
      for (const int part : {1, 15, 16, n - 1, n}) all.push_back(kernels.sum_exp(x.data(), part, 40.0f));
      return all;
    };
    const auto expected = run(kScalarKernels);
    each_isa([&](const Kernels& kernels) { CHECK(same_bits(expected, run(kernels))); });
  }
}

// exp reaches the outside through sum_exp alone; with one element and shift 0 it is exp itself.
TEST(exp_matches_everywhere_and_is_accurate) {
  double worst = 0.0;
  for (float x = -90.0f; x < 90.0f; x += 0.00137f) {
    const float expected = kScalarKernels.sum_exp(&x, 1, 0.0f);
    each_isa([&](const Kernels& kernels) {
      const float got = kernels.sum_exp(&x, 1, 0.0f);
      CHECK(std::memcmp(&got, &expected, 4) == 0);
    });
    if (x < exp_constants::kSmallest) {
      CHECK_EQ(expected, 0.0f);
    } else if (x <= exp_constants::kLargest) {
      const double truth = std::exp(static_cast<double>(x));
      worst = std::max(worst, std::abs(static_cast<double>(expected) - truth) / truth);
    }
  }
  // Half an ulp of the result, half of the last sum, and a polynomial good to 2^-25: 1.5 * 2^-24 = 8.9e-8, rounded
  // up.
  CHECK(worst < 1.0e-7);
}

TEST(nan_and_infinity_are_seen_wherever_they_stand) {
  const std::vector<float> bad = {kPoison, INFINITY, -INFINITY};
  for (const std::string_view isa : available_isas()) {
    const Kernels& kernels = select_kernels(isa);
    for (const size_t n : {1u, 16u, 37u}) {
      std::vector<float> x(n, 1.0f);
      CHECK(kernels.all_finite(x.data(), static_cast<int64_t>(n)));
      for (size_t at = 0; at < n; ++at) {
        for (const float value : bad) {
          x[at] = value;
          CHECK(!kernels.all_finite(x.data(), static_cast<int64_t>(n)));
        }
        x[at] = 1.0f;
      }
    }
    float lane = kPoison;
    CHECK(std::isnan(kernels.sum_exp(&lane, 1, 0.0f)));
  }
}

TEST(unknown_isa_is_refused_with_the_choices) { CHECK_THROWS(Error, select_kernels("sse9"), "scalar"); }

}  // namespace
}  // namespace organ

TEST_MAIN()
