#include "score.h"

#include <algorithm>

#include "dmath.h"

namespace organ {

void append_score(const Kernels& kernels, const float* logits, int64_t n, int32_t token, Score& score) {
  const float other = std::max(kernels.maximum(logits, token), kernels.maximum(logits + token + 1, n - token - 1));
  const float largest = std::max(other, logits[token]);
  const double normaliser = dmath::log(static_cast<double>(kernels.sum_exp(logits, n, largest)));
  score.log_probabilities.push_back(static_cast<double>(logits[token]) - static_cast<double>(largest) - normaliser);
  score.margins.push_back(logits[token] - other);
}

}  // namespace organ
