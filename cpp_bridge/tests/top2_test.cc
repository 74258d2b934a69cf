// The greedy choice against a plain sort, wherever the largest logits stand.
#include "top2.h"

#include <algorithm>
#include <random>

#include "check.h"

namespace organ {
namespace {

void check_like_a_sort(const std::vector<float>& logits) {
  std::vector<float> sorted = logits;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  const auto first = std::find(logits.begin(), logits.end(), sorted[0]) - logits.begin();
  for (const std::string_view isa : available_isas()) {
    const Top2 found = top2(select_kernels(isa), logits.data(), static_cast<int64_t>(logits.size()));
    CHECK_EQ(found.token, static_cast<int32_t>(first));
    CHECK_EQ(found.margin, sorted[0] - sorted[1]);
  }
}

TEST(largest_two_anywhere_and_ties_to_the_lowest_id) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  // Below, at and beyond the block in which top2 looks for the maximum.
  for (const size_t n : {2u, 17u, 2048u, 2049u, 6200u}) {
    std::vector<float> logits(n);
    for (float& value : logits) value = normal(random) - 20.0f;
    check_like_a_sort(logits);
    for (const size_t a : {size_t{0}, n / 3, n - 1}) {
      for (const size_t b : {size_t{0}, size_t{1}, n / 2, n - 1}) {
        for (const float second : {1.0f, 0.5f}) {
          auto marked = logits;
          marked[b] = second;
          marked[a] = 1.0f;
          check_like_a_sort(marked);
        }
      }
    }
  }
}

}  // namespace
}  // namespace organ

TEST_MAIN()
