// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|
// ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ by hand, alternative by alternative.
#include "characters.h"
#include "pretokenize.h"

namespace organ {

namespace {

bool is_newline(const Character& c) { return c.point == '\r' || c.point == '\n'; }

// [^\r\n\p{L}\p{N}]?\p{L}+
const Character* letters_end(const Character* c) {
  const bool prefix = (c->kind == CharKind::other || c->kind == CharKind::space) && !is_newline(*c);
  const Character* letters = prefix ? c + 1 : c;
  const Character* end = run_end(letters, CharKind::letter);
  return end == letters ? c : end;
}

//  ?[^\s\p{L}\p{N}]+[\r\n]*
const Character* symbols_end(const Character* c) {
  const Character* symbols = c->point == ' ' ? c + 1 : c;
  const Character* end = run_end(symbols, CharKind::other);
  if (end == symbols) return c;
  while (is_newline(*end)) ++end;
  return end;
}

// \s*[\r\n]+|\s+(?!\S)|\s+
const Character* spaces_end(const Character* c) {
  const Character* end = run_end(c, CharKind::space);
  const Character* after_newline = end;
  while (after_newline != c && !is_newline(after_newline[-1])) --after_newline;
  if (after_newline != c) return after_newline;
  // One space is left to the word behind it, unless it is the only one.
  return end->kind == CharKind::boundary || end - c == 1 ? end : end - 1;
}

const Character* piece_end(const Character* c) {
  if (const Character* end = contraction_end(c, /*ignore_case=*/true); end != c) return end;
  if (const Character* end = letters_end(c); end != c) return end;
  if (c->kind == CharKind::number) return c + 1;
  if (const Character* end = symbols_end(c); end != c) return end;
  return spaces_end(c);
}

}  // namespace

void pretokenize_qwen2(std::string_view text, Pieces& pieces) {
  const std::vector<Character> characters = characters_of(text);
  for (const Character* c = characters.data(); c->kind != CharKind::boundary;) {
    const Character* end = piece_end(c);
    pieces.push_back(text.substr(c->offset, end->offset - c->offset));
    c = end;
  }
}

}  // namespace organ
