// The executable specification of numerics.h: as plain as C++ allows, and slow. When a kernel and this file differ
// in one bit, the kernel is wrong.
#include <bit>
#include <cmath>
#include <limits>

#include "kernels.h"
#include "numerics.h"

namespace organ {
namespace {

float widen(uint16_t bf16) { return std::bit_cast<float>(static_cast<uint32_t>(bf16) << 16); }

// Rule 2: the fold of sixteen lanes.
float fold(float (&lane)[kLanes]) {
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) lane[i] += lane[i + width];
  return lane[0];
}

// Rule 4.
float exp_f32(float x) {
  using namespace exp_constants;
  x = kLargest < x ? kLargest : x;
  if (x < kSmallest) return 0.0f;
  const float rounded = std::fma(x, kLog2E, kRound);
  const float n = rounded - kRound;
  float r = std::fma(n, -kLn2High, x);
  r = std::fma(n, -kLn2Low, r);
  float p = kPolynomial[0];
  for (int i = 1; i < 6; ++i) p = std::fma(p, r, kPolynomial[i]);
  const float y = std::fma(p, r * r, r) + 1.0f;
  const uint32_t exponent = std::bit_cast<uint32_t>(rounded) - kRoundBits + 127u;
  return y * std::bit_cast<float>(exponent << 23);
}

void gemm(ConstRows x, int rows, const uint16_t* w, int k, int first, int last, Rows y) {
  for (int m = 0; m < rows; ++m) {
    for (int p = first; p < last; ++p) {
      const uint16_t* panel = w + static_cast<int64_t>(p) * k * kLanes;
      float acc[kLanes] = {};
      for (int i = 0; i < k; ++i)
        for (int j = 0; j < kLanes; ++j)
          acc[j] = std::fma(x.row(m)[i], widen(panel[(i / 2) * 2 * kLanes + 2 * j + i % 2]), acc[j]);
      for (int j = 0; j < kLanes; ++j) y.row(m)[(p - first) * kLanes + j] = acc[j];
    }
  }
}

void rms_norm(const float* x, const float* weight, int n, float eps, float* y) {
  float lane[kLanes] = {};
  for (int i = 0; i < n; ++i) lane[i % kLanes] = std::fma(x[i], x[i], lane[i % kLanes]);
  const float inverse = 1.0f / std::sqrt(fold(lane) / static_cast<float>(n) + eps);
  for (int i = 0; i < n; ++i) y[i] = (x[i] * inverse) * weight[i];
}

float maximum(const float* x, int64_t n) {
  float largest = -std::numeric_limits<float>::infinity();
  for (int64_t i = 0; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

void attend(const Attention& a) {
  const int padded = (a.length + kLanes - 1) / kLanes * kLanes;
  for (int h = 0; h < a.heads; ++h) {
    const float* q = a.q + h * a.head_dim;
    float* p = a.scores + static_cast<int64_t>(h) * padded;
    for (int t = 0; t < a.length; ++t) {
      const float* panel = a.keys + static_cast<int64_t>(t / kLanes) * a.head_dim * kLanes;
      float score = 0.0f;
      for (int d = 0; d < a.head_dim; ++d) score = std::fma(q[d], panel[d * kLanes + t % kLanes], score);
      p[t] = score * a.scale;
    }
    const float shift = maximum(p, a.length);
    float lane[kLanes] = {};
    for (int t = 0; t < a.length; ++t) {
      p[t] = exp_f32(p[t] - shift);
      lane[t % kLanes] += p[t];
    }
    const float sum = fold(lane);
    for (int d = 0; d < a.head_dim; ++d) {
      float acc = 0.0f;
      for (int t = 0; t < a.length; ++t) acc = std::fma(p[t], a.values[static_cast<int64_t>(t) * a.head_dim + d], acc);
      a.out[h * a.head_dim + d] = acc / sum;
    }
  }
}

void add(float* y, const float* x, int n) {
  for (int i = 0; i < n; ++i) y[i] += x[i];
}

void swiglu(float* gate, const float* up, int n) {
  for (int i = 0; i < n; ++i) gate[i] = (gate[i] / (1.0f + exp_f32(-gate[i]))) * up[i];
}

bool all_finite(const float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    if (!std::isfinite(x[i])) return false;
  return true;
}

float sum_exp(const float* x, int64_t n, float shift) {
  float lane[kLanes] = {};
  for (int64_t i = 0; i < n; ++i) lane[i % kLanes] += exp_f32(x[i] - shift);
  return fold(lane);
}

}  // namespace

const Kernels kScalarKernels = {"scalar", gemm, rms_norm, attend, add, swiglu, maximum, all_finite, sum_exp};

}  // namespace organ
