// Keys and values of one sequence, for all layers. Memory is reserved for the whole capacity and touched only as
// tokens come, so a sequence that stops early never costs its limit.
#pragma once

#include <cstdint>
#include <memory>

namespace organ {

class KvCache {
 public:
  KvCache(int layers, int kv_heads, int head_dim, int capacity);

  int capacity() const { return capacity_; }

  // Panels of 16 keys, [capacity / 16, head_dim, 16]: the score kernel runs its lanes along keys.
  const float* keys(int layer, int head) const { return keys_.get() + offset(layer, head); }
  // [capacity, head_dim].
  const float* values(int layer, int head) const { return values_.get() + offset(layer, head); }

  // Stores one position of one head: head_dim floats each, rope already applied to the key. A position may be written
  // again, after a rejected draft for example.
  void store(int layer, int head, int position, const float* key, const float* value);

  // Takes over positions [0, count) of all layers and heads from a cache of the same shape.
  void copy_prefix(const KvCache& other, int count);

 private:
  int64_t offset(int layer, int head) const {
    return (static_cast<int64_t>(layer) * kv_heads_ + head) * capacity_ * head_dim_;
  }

  int layers_, kv_heads_, head_dim_, capacity_;
  std::unique_ptr<float[]> keys_, values_;
};

}  // namespace organ
