// A strict JSON reader for pack headers and for requests to the `organ` command (RFC 8259, and no more).
// Goals: total (any bytes give a value or an Error, never a crash), small, duplicate keys refused, depth bounded.
// Non-goals: streaming, speed beyond a 1 MB header, numbers other than 64-bit integers (neither input has others).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace organ {

class Json {
 public:
  using Array = std::vector<Json>;
  // Sorted by key. A pack's tensors are ordered by their offsets, so the order in the text carries nothing.
  using Object = std::map<std::string, Json, std::less<>>;

  Json() = default;
  explicit Json(bool value) : value_(value) {}
  explicit Json(int64_t value) : value_(value) {}
  explicit Json(std::string value) : value_(std::in_place_type<std::string>, std::move(value)) {}
  explicit Json(Array value) : value_(std::in_place_type<Array>, std::move(value)) {}
  explicit Json(Object value) : value_(std::in_place_type<Object>, std::move(value)) {}

  // Throws Error with the byte offset at fault.
  static Json parse(std::string_view text);

  const std::string* string() const { return std::get_if<std::string>(&value_); }
  const bool* boolean() const { return std::get_if<bool>(&value_); }
  const int64_t* integer() const { return std::get_if<int64_t>(&value_); }
  const Array* array() const { return std::get_if<Array>(&value_); }
  const Object* object() const { return std::get_if<Object>(&value_); }

 private:
  std::variant<std::nullptr_t, bool, int64_t, std::string, Array, Object> value_ = nullptr;
};

// `utf8` as a JSON string, quotes included. Bytes that are not UTF-8 become U+FFFD, one for each maximal part of a
// character, as Unicode recommends and as Python's "replace" does.
std::string json_string(std::string_view bytes);

}  // namespace organ
