// A text as the pre-tokenisers' regexes see it.
#pragma once

#include <string_view>
#include <vector>

#include "unicode_tables.h"

namespace organ {

struct Character {
  char32_t point;
  CharKind kind;
  size_t offset;  // of its first byte
};

// The characters of valid UTF-8, and behind them a boundary whose offset is the length of the text and whose
// point is 0.
std::vector<Character> characters_of(std::string_view text);

// What Rust's char::is_numeric says, on which the Digits pre-tokeniser stands: \p{N} of a younger Unicode
// version.
bool is_digit(const Character& c);

// The end of the run of `kind` that begins at `c`: `c` itself if it is of another kind.
inline const Character* run_end(const Character* c, CharKind kind) {
  while (c->kind == kind) ++c;
  return c;
}

// The end of an English contraction ('s 't 're 've 'm 'll 'd) that begins at `c`, or `c` if there is none.
const Character* contraction_end(const Character* c, bool ignore_case);

}  // namespace organ
