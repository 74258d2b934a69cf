// Rotary position embedding (https://arxiv.org/abs/2104.09864) in the half-split form of Llama and Qwen2: element i
// is paired with element i + head_dim / 2. Rule 5 of numerics.h.
#pragma once

#include <cstddef>
#include <vector>

namespace organ {

class RopeTable {
 public:
  RopeTable(double theta, int head_dim);

  // Makes cos and sin ready for positions [0, count). Not safe beside readers.
  void extend(int count);

  // Rotates one head of `head_dim` floats in place.
  void rotate(float* head, int position) const;

 private:
  int half_;
  int ready_ = 0;
  std::vector<double> frequency_;  // [half]: theta^(-2 i / head_dim)
  std::vector<float> cos_, sin_;   // [positions, half]
};

}  // namespace organ
