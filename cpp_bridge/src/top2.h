// The greedy choice (rule 8 of numerics.h).
#pragma once

#include <cstdint>

#include "kernels.h"

namespace organ {

struct Top2 {
  int32_t token;  // the largest logit, the lowest id among equals
  float margin;   // largest minus second largest logit; 0 on a tie
};

// n >= 2, all finite.
Top2 top2(const Kernels& kernels, const float* logits, int64_t n);

}  // namespace organ
