// UTF-8, checked once at the door and then trusted.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace organ {

// Byte offset of the first character that is not UTF-8 (stray, truncated, overlong, surrogate or beyond
// U+10FFFF); std::string_view::npos if all is well.
size_t find_invalid_utf8(std::string_view text);

// Bytes at the front of `bad`, which does not begin with a character, that one U+FFFD stands for: the longest beginning
// of some character, at least one byte (Unicode 16, section 3.9, "U+FFFD substitution of maximal subparts").
size_t ill_formed_length(std::string_view bad);

// The character at `offset`, which must be the first byte of one in valid UTF-8; moves `offset` behind it.
char32_t next_utf8(std::string_view text, size_t& offset);

void append_utf8(std::string& text, char32_t point);

}  // namespace organ
