#include "top2.h"

#include <algorithm>

namespace organ {

Top2 top2(const Kernels& kernels, const float* logits, int64_t n) {
  const float best = kernels.maximum(logits, n);
  const int64_t at = std::find(logits, logits + n, best) - logits;
  const float second = std::max(kernels.maximum(logits, at), kernels.maximum(logits + at + 1, n - at - 1));
  return {static_cast<int32_t>(at), best - second};
}

}  // namespace organ
