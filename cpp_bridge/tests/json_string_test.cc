#include "check.h"
#include "json.h"

namespace organ {
namespace {

TEST(plain_text_is_quoted_and_escaped) {
  CHECK_EQ(json_string("a\"b\\c\n\x01"), "\"a\\\"b\\\\c\\u000a\\u0001\"");
  CHECK_EQ(json_string("gr\xc3\xb6\xc3\x9f\x65"), "\"gr\xc3\xb6\xc3\x9f\x65\"");
}

// Each case is what CPython's bytes.decode("utf-8", "replace") makes of it.
TEST(what_is_not_utf8_is_replaced_as_python_does) {
  const std::string r = "\xef\xbf\xbd";
  const auto quoted = [](const std::string& text) { return "\"" + text + "\""; };
  CHECK_EQ(json_string("\xff"), quoted(r));
  CHECK_EQ(json_string("a\xe2\x82"), quoted("a" + r));  // a cut character is one
  CHECK_EQ(json_string("\xe2\x82z"), quoted(r + "z"));
  CHECK_EQ(json_string("\xf0\x9f\x98"), quoted(r));
  CHECK_EQ(json_string("\xed\xa0\x80"), quoted(r + r + r));          // a surrogate is three
  CHECK_EQ(json_string("\xc0\xaf"), quoted(r + r));                  // overlong
  CHECK_EQ(json_string("\xf4\x90\x80\x80"), quoted(r + r + r + r));  // beyond U+10FFFF
  CHECK_EQ(json_string("\x80\x80"), quoted(r + r));
}

}  // namespace
}  // namespace organ

TEST_MAIN()
