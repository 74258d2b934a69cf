// UTF-8, checked once at the door and then trusted.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace organ {

// Byte offset of the first character that is not UTF-8 (stray, truncated, overlong, surrogate or beyond
// U+10FFFF); std::string_view::npos if all is well.
size_t find_invalid_utf8(std::string_view text);

// The character at `offset`, which must be the first byte of one in valid UTF-8; moves `offset` behind it.
char32_t next_utf8(std::string_view text, size_t& offset);

void append_utf8(std::string& text, char32_t point);

}  // namespace organ
