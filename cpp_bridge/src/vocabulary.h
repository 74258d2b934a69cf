// The bytes of every token.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace organ {

class Vocabulary {
 public:
  // Throws PackError unless the offsets begin at 0, never fall, and end where the bytes end.
  Vocabulary(std::span<const uint8_t> token_bytes, std::span<const int32_t> token_offsets);

  size_t size() const { return offsets_.size() - 1; }
  bool contains(int32_t id) const { return id >= 0 && static_cast<size_t>(id) < size(); }
  std::string_view operator[](int32_t id) const;  // `id` must be contained

 private:
  std::vector<char> bytes_;
  std::vector<int32_t> offsets_;
};

}  // namespace organ
