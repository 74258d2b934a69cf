#include "kv_cache.h"

#include <algorithm>

#include "numerics.h"

namespace organ {

KvCache::KvCache(int layers, int kv_heads, int head_dim, int capacity)
    : layers_(layers), kv_heads_(kv_heads), head_dim_(head_dim), capacity_((capacity + kLanes - 1) / kLanes * kLanes) {
  const int64_t floats = static_cast<int64_t>(layers) * kv_heads * capacity_ * head_dim;
  // Uninitialised on purpose: pages that no token reaches are never touched, and lanes beyond a sequence's length are
  // computed but never used (numerics.h, rule 3 counts only keys below the length).
  keys_.reset(new float[static_cast<size_t>(floats)]);
  values_.reset(new float[static_cast<size_t>(floats)]);
}

void KvCache::store(int layer, int head, int position, const float* key, const float* value) {
  float* panel = keys_.get() + offset(layer, head) + static_cast<int64_t>(position / kLanes) * kLanes * head_dim_;
  for (int d = 0; d < head_dim_; ++d) panel[d * kLanes + position % kLanes] = key[d];
  std::copy_n(value, head_dim_, values_.get() + offset(layer, head) + static_cast<int64_t>(position) * head_dim_);
}

void KvCache::copy_prefix(const KvCache& other, int count) {
  const int64_t values = static_cast<int64_t>(count) * head_dim_;
  const int64_t whole_panels = static_cast<int64_t>((count + kLanes - 1) / kLanes) * kLanes * head_dim_;
  for (int layer = 0; layer < layers_; ++layer) {
    for (int head = 0; head < kv_heads_; ++head) {
      std::copy_n(other.keys(layer, head), whole_panels, keys_.get() + offset(layer, head));
      std::copy_n(other.values(layer, head), values, values_.get() + offset(layer, head));
    }
  }
}

}  // namespace organ
