// The `.planck` container: one file is one organ. docs/pack-format.md is the specification.
//
// Goals: any safetensors tool opens it; loading is one mmap, nothing is copied or converted; every byte belongs to
// one tensor; weights lie in the kernels' own panel layout; a malformed file is a PackError that names the field.
// Non-goals: several files (a half-copied organ must not load), compression (it would cost the mmap), big-endian
// machines, other layouts (the builder converts once, the loader never), trusting the file (every offset is
// checked).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mapped_file.h"

namespace organ {

enum class DType { kBF16, kF32, kI32, kU8 };

struct Tensor {
  DType dtype;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};

class Pack {
 public:
  static Pack open(const std::string& path);
  // Reads a pack that already lies in memory. `bytes` must stay alive and 64-byte aligned as long as the pack.
  explicit Pack(std::span<const std::byte> bytes);

  std::span<const std::byte> bytes() const { return bytes_; }
  const std::map<std::string, Tensor, std::less<>>& tensors() const { return tensors_; }

  // Metadata. Each throws PackError naming the key if it is missing or out of range.
  const std::string& text(std::string_view key) const;
  int64_t integer(std::string_view key, int64_t low, int64_t high) const;
  double number(std::string_view key, double low, double high) const;
  bool flag(std::string_view key) const;

  // The bytes of a tensor, after its dtype and exact shape are checked. A dimension of -1 matches any size.
  const Tensor& tensor(std::string_view name, DType dtype, std::vector<int64_t> shape) const;
  std::span<const uint16_t> bf16(std::string_view name, std::vector<int64_t> shape) const;
  std::span<const float> f32(std::string_view name, std::vector<int64_t> shape) const;
  std::span<const int32_t> i32(std::string_view name, std::vector<int64_t> shape) const;
  std::span<const uint8_t> u8(std::string_view name, std::vector<int64_t> shape) const;

 private:
  Pack() = default;
  void read(std::span<const std::byte> bytes);
  void check_no_holes() const;

  std::shared_ptr<MappedFile> file_;
  std::span<const std::byte> bytes_;
  size_t data_begin_ = 0;
  std::map<std::string, std::string, std::less<>> metadata_;
  std::map<std::string, Tensor, std::less<>> tensors_;
};

}  // namespace organ
