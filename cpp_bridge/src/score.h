// How a row of logits rates a token that was given, not chosen: teacher forcing.
#pragma once

#include <cstdint>

#include "kernels.h"
#include "organ/organ.h"

namespace organ {

// Appends the rating of `token` by logits [0, n). All logits are finite, n >= 2.
void append_score(const Kernels& kernels, const float* logits, int64_t n, int32_t token, Score& score);

}  // namespace organ
