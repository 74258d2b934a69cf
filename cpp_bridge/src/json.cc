#include "json.h"

#include <charconv>

#include "organ/error.h"
#include "utf8.h"

namespace organ {
namespace {

// A header nests three deep (object, tensor, shape). The rest is room for a reader's patience, not for the stack.
constexpr int kMaxDepth = 16;

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Json document() {
    Json value = parse_value(0);
    skip_space();
    if (at_ != text_.size()) fail("something after the end of the document");
    return value;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw Error(what + " at byte " + std::to_string(at_)); }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
  }

  char peek() {
    skip_space();
    if (at_ == text_.size()) fail("the document ends early");
    return text_[at_];
  }

  bool accept(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }

  void expect(char c) {
    if (!accept(c)) fail(std::string("expected '") + c + "'");
  }

  Json parse_value(int depth) {
    if (depth > kMaxDepth) fail("nested deeper than " + std::to_string(kMaxDepth));
    switch (peek()) {
      case '{':
        return parse_object(depth);
      case '[':
        return parse_array(depth);
      case '"':
        return Json(parse_string());
      case 't':
        return literal("true", Json(true));
      case 'f':
        return literal("false", Json(false));
      case 'n':
        return literal("null", Json());
      default:
        return parse_integer();
    }
  }

  Json literal(std::string_view word, Json value) {
    if (text_.substr(at_, word.size()) != word) fail("not a JSON value");
    at_ += word.size();
    return value;
  }

  Json parse_object(int depth) {
    Json::Object object;
    expect('{');
    if (accept('}')) return Json(std::move(object));
    do {
      if (peek() != '"') fail("expected a key");
      std::string key = parse_string();
      expect(':');
      Json value = parse_value(depth + 1);
      if (!object.try_emplace(key, std::move(value)).second) fail("the name \"" + key + "\" appears twice");
    } while (accept(','));
    expect('}');
    return Json(std::move(object));
  }

  Json parse_array(int depth) {
    Json::Array array;
    expect('[');
    if (accept(']')) return Json(std::move(array));
    do {
      array.push_back(parse_value(depth + 1));
    } while (accept(','));
    expect(']');
    return Json(std::move(array));
  }

  Json parse_integer() {
    int64_t value = 0;
    const char* begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (error == std::errc::result_out_of_range) fail("an integer outside 64 bits");
    if (error != std::errc()) fail("not a JSON value");
    const bool leading_zero = end - begin > 1 && (begin[0] == '0' || (begin[0] == '-' && begin[1] == '0'));
    if (leading_zero) fail("an integer with a leading zero");
    at_ += static_cast<size_t>(end - begin);
    if (at_ < text_.size() && (text_[at_] == '.' || text_[at_] == 'e' || text_[at_] == 'E'))
      fail("a number that is not an integer");
    return Json(value);
  }

  std::string parse_string() {
    expect('"');
    std::string out;
    while (true) {
      if (at_ == text_.size()) fail("a string without an end");
      const char c = text_[at_++];
      if (c == '"') return out;
      if (static_cast<unsigned char>(c) < 0x20) fail("a raw control character in a string");
      if (c == '\\') {
        parse_escape(out);
      } else {
        out.push_back(c);
      }
    }
  }

  void parse_escape(std::string& out) {
    if (at_ == text_.size()) fail("a string without an end");
    const char c = text_[at_++];
    static constexpr std::string_view kNames = "\"\\/bfnrt";
    static constexpr std::string_view kValues = "\"\\/\b\f\n\r\t";
    const size_t index = kNames.find(c);
    if (index != std::string_view::npos) {
      out.push_back(kValues[index]);
    } else if (c == 'u') {
      append_utf8(out, parse_code_point());
    } else {
      fail("an unknown escape");
    }
  }

  char32_t parse_hex4() {
    if (text_.size() - at_ < 4) fail("a \\u escape without four digits");
    uint32_t unit = 0;
    const char* begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, begin + 4, unit, 16);
    if (error != std::errc() || end != begin + 4) fail("a \\u escape without four digits");
    at_ += 4;
    return unit;
  }

  char32_t parse_code_point() {
    const char32_t high = parse_hex4();
    if (high < 0xD800 || high > 0xDFFF) return high;
    if (high > 0xDBFF || text_.substr(at_, 2) != "\\u") fail("a lone surrogate");
    at_ += 2;
    const char32_t low = parse_hex4();
    if (low < 0xDC00 || low > 0xDFFF) fail("a lone surrogate");
    return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

Json Json::parse(std::string_view text) {
  const size_t bad = find_invalid_utf8(text);
  if (bad != std::string_view::npos) throw Error("not UTF-8 at byte " + std::to_string(bad));
  return Parser(text).document();
}

}  // namespace organ
