#include "rope.h"

#include "dmath.h"

namespace organ {

RopeTable::RopeTable(double theta, int head_dim) : half_(head_dim / 2) {
  const double log_theta = dmath::log(theta);
  for (int i = 0; i < half_; ++i)
    frequency_.push_back(dmath::exp(-log_theta * (static_cast<double>(2 * i) / static_cast<double>(head_dim))));
}

void RopeTable::extend(int count) {
  for (; ready_ < count; ++ready_) {
    for (const double frequency : frequency_) {
      const double angle = static_cast<double>(ready_) * frequency;
      cos_.push_back(static_cast<float>(dmath::cos(angle)));
      sin_.push_back(static_cast<float>(dmath::sin(angle)));
    }
  }
}

void RopeTable::rotate(float* head, int position) const {
  const float* cos = cos_.data() + static_cast<size_t>(position) * static_cast<size_t>(half_);
  const float* sin = sin_.data() + static_cast<size_t>(position) * static_cast<size_t>(half_);
  for (int i = 0; i < half_; ++i) {
    const float a = head[i], b = head[i + half_];
    head[i] = a * cos[i] - b * sin[i];
    head[i + half_] = b * cos[i] + a * sin[i];
  }
}

}  // namespace organ
