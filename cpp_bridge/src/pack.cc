#include "pack.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>

#include "json.h"
#include "organ/error.h"

namespace organ {
namespace {

static_assert(std::endian::native == std::endian::little, "packs are little-endian and mapped, not converted");

constexpr size_t kLengthBytes = 8;
// safetensors refuses headers beyond 100 MB; ours hold a few hundred tensors and stay under 1 MB.
constexpr uint64_t kMaxHeaderBytes = 16u << 20;
constexpr size_t kMaxDimensions = 8;

struct DTypeInfo {
  std::string_view name;
  DType dtype;
  size_t size;
};
constexpr DTypeInfo kDTypes[] = {
    {"BF16", DType::kBF16, 2}, {"F32", DType::kF32, 4}, {"I32", DType::kI32, 4}, {"U8", DType::kU8, 1}};

const DTypeInfo& info_of(DType dtype) {
  return *std::find_if(std::begin(kDTypes), std::end(kDTypes), [&](const auto& i) { return i.dtype == dtype; });
}

[[noreturn]] void fail(const std::string& field, const std::string& what) { throw PackError(field + ": " + what); }

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) out += ",";
    out += shape[i] < 0 ? "*" : std::to_string(shape[i]);
  }
  return out + "]";
}

const Json& member(const Json::Object& object, const std::string& tensor, std::string_view key) {
  const auto found = object.find(key);
  if (found == object.end()) fail(tensor, "no " + std::string(key));
  return found->second;
}

DTypeInfo read_dtype(const Json::Object& entry, const std::string& name) {
  const std::string* text = member(entry, name, "dtype").string();
  if (!text) fail(name, "dtype is not a string");
  for (const DTypeInfo& info : kDTypes)
    if (info.name == *text) return info;
  fail(name, "dtype " + *text + " is not one a pack holds (BF16, F32, I32, U8)");
}

std::vector<int64_t> read_shape(const Json::Object& entry, const std::string& name) {
  const Json::Array* array = member(entry, name, "shape").array();
  if (!array || array->size() > kMaxDimensions) fail(name, "shape is not a short array");
  std::vector<int64_t> shape;
  for (const Json& value : *array) {
    if (!value.integer() || *value.integer() < 0) fail(name, "shape holds something that is not a size");
    shape.push_back(*value.integer());
  }
  return shape;
}

uint64_t byte_count(const std::vector<int64_t>& shape, size_t element_size, const std::string& name) {
  uint64_t bytes = element_size;
  for (const int64_t size : shape)
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(size), &bytes)) fail(name, "shape overflows 64 bits");
  return bytes;
}

Tensor read_tensor(const std::string& name, const Json& json, std::span<const std::byte> data) {
  const Json::Object* entry = json.object();
  if (!entry) fail(name, "not an object");
  const DTypeInfo dtype = read_dtype(*entry, name);
  Tensor tensor{dtype.dtype, read_shape(*entry, name), {}};
  const Json::Array* offsets = member(*entry, name, "data_offsets").array();
  if (!offsets || offsets->size() != 2 || !(*offsets)[0].integer() || !(*offsets)[1].integer())
    fail(name, "data_offsets is not a pair of integers");
  if (entry->size() != 3) fail(name, "has a field besides dtype, shape and data_offsets");
  const int64_t begin = *(*offsets)[0].integer();
  const int64_t end = *(*offsets)[1].integer();
  if (begin < 0 || end < begin || static_cast<uint64_t>(end) > data.size())
    fail(name, "data_offsets [" + std::to_string(begin) + "," + std::to_string(end) + "] lie outside the " +
                   std::to_string(data.size()) + " bytes of data (is the file truncated?)");
  const uint64_t size = static_cast<uint64_t>(end - begin);
  const uint64_t expected = byte_count(tensor.shape, dtype.size, name);
  if (size != expected)
    fail(name, "data_offsets span " + std::to_string(size) + " bytes, shape " + shape_text(tensor.shape) + " needs " +
                   std::to_string(expected));
  tensor.bytes = data.subspan(static_cast<size_t>(begin), size);
  if (reinterpret_cast<uintptr_t>(tensor.bytes.data()) % dtype.size != 0) fail(name, "data_offsets are not aligned");
  return tensor;
}

Json parse_header(std::string_view text) {
  try {
    return Json::parse(text);
  } catch (const Error& error) {
    fail("header", error.what());
  }
}

}  // namespace

Pack Pack::open(const std::string& path) {
  Pack pack;
  pack.file_ = std::make_shared<MappedFile>(path);
  try {
    pack.read(pack.file_->bytes());
  } catch (const PackError& error) {
    throw PackError("pack " + path + ": " + error.what());
  }
  return pack;
}

Pack::Pack(std::span<const std::byte> bytes) { read(bytes); }

void Pack::read(std::span<const std::byte> bytes) {
  bytes_ = bytes;
  if (bytes.size() < kLengthBytes) fail("header", "the file is shorter than a header's length field");
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  if (length > kMaxHeaderBytes)
    fail("header", "its length field says " + std::to_string(length) + " bytes; not a pack, or damaged");
  if (length > bytes.size() - kLengthBytes) fail("header", "the file ends inside it (is the file truncated?)");
  data_begin_ = kLengthBytes + static_cast<size_t>(length);

  const Json header = parse_header({reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, length});
  if (!header.object()) fail("header", "not a JSON object");
  for (const auto& [name, value] : *header.object()) {
    if (name != "__metadata__") {
      tensors_.emplace(name, read_tensor(name, value, bytes.subspan(data_begin_)));
      continue;
    }
    if (!value.object()) fail("__metadata__", "not an object");
    for (const auto& [key, text] : *value.object()) {
      if (!text.string()) fail("__metadata__." + key, "not a string");
      metadata_.emplace(key, *text.string());
    }
  }
  check_no_holes();
}

// safetensors demands it, and it is what makes overlapping tensors and hidden bytes impossible.
void Pack::check_no_holes() const {
  std::vector<std::pair<std::span<const std::byte>, const std::string*>> order;
  for (const auto& [name, tensor] : tensors_) order.emplace_back(tensor.bytes, &name);
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first.data(), a.first.size()) < std::pair(b.first.data(), b.first.size());
  });
  const std::byte* at = bytes_.data() + data_begin_;
  for (const auto& [bytes, name] : order) {
    if (bytes.data() < at) fail(*name, "overlaps another tensor");
    if (bytes.data() > at) fail(*name, "there is a hole in the data before it");
    at = bytes.data() + bytes.size();
  }
  if (at != bytes_.data() + bytes_.size()) fail("data", "bytes after the last tensor");
}

const std::string& Pack::text(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) fail(std::string(key), "missing from the metadata (is this a .planck pack?)");
  return found->second;
}

int64_t Pack::integer(std::string_view key, int64_t low, int64_t high) const {
  const std::string& value = text(key);
  int64_t out = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), out);
  if (error != std::errc() || end != value.data() + value.size()) fail(std::string(key), "not an integer: " + value);
  if (out < low || out > high)
    fail(std::string(key), value + " is not within " + std::to_string(low) + " to " + std::to_string(high));
  return out;
}

double Pack::number(std::string_view key, double low, double high) const {
  const std::string& value = text(key);
  double out = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), out);
  if (error != std::errc() || end != value.data() + value.size()) fail(std::string(key), "not a number: " + value);
  if (!(out >= low && out <= high)) fail(std::string(key), value + " is out of range");
  return out;
}

bool Pack::flag(std::string_view key) const {
  const std::string& value = text(key);
  if (value != "true" && value != "false") fail(std::string(key), "neither true nor false: " + value);
  return value == "true";
}

const Tensor& Pack::tensor(std::string_view name, DType dtype, std::vector<int64_t> shape) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) fail(std::string(name), "missing");
  const Tensor& tensor = found->second;
  if (tensor.dtype != dtype)
    fail(std::string(name),
         "dtype is " + std::string(info_of(tensor.dtype).name) + ", expected " + std::string(info_of(dtype).name));
  const bool fits = std::equal(shape.begin(), shape.end(), tensor.shape.begin(), tensor.shape.end(),
                               [](int64_t want, int64_t have) { return want < 0 || want == have; });
  if (!fits) fail(std::string(name), "shape is " + shape_text(tensor.shape) + ", expected " + shape_text(shape));
  return tensor;
}

template <class T>
static std::span<const T> view(const Tensor& tensor) {
  return {reinterpret_cast<const T*>(tensor.bytes.data()), tensor.bytes.size() / sizeof(T)};
}

std::span<const uint16_t> Pack::bf16(std::string_view name, std::vector<int64_t> shape) const {
  const Tensor& found = tensor(name, DType::kBF16, std::move(shape));
  // A panel cell is one cache line, and the AVX-512 kernel loads it as one register.
  if (reinterpret_cast<uintptr_t>(found.bytes.data()) % 64 != 0)
    fail(std::string(name), "its data does not begin at a multiple of 64 bytes");
  return view<uint16_t>(found);
}

std::span<const float> Pack::f32(std::string_view name, std::vector<int64_t> shape) const {
  return view<float>(tensor(name, DType::kF32, std::move(shape)));
}

std::span<const int32_t> Pack::i32(std::string_view name, std::vector<int64_t> shape) const {
  return view<int32_t>(tensor(name, DType::kI32, std::move(shape)));
}

std::span<const uint8_t> Pack::u8(std::string_view name, std::vector<int64_t> shape) const {
  return view<uint8_t>(tensor(name, DType::kU8, std::move(shape)));
}

}  // namespace organ
