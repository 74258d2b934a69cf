// Every digit alone, and between the digits GPT-2's regex, by hand, alternative by alternative:
// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
#include "characters.h"
#include "pretokenize.h"

namespace organ {

namespace {

//  ?\p{L}+ or  ?[^\s\p{L}\p{N}]+
const Character* word_end(const Character* c, CharKind kind) {
  const Character* word = c->point == ' ' ? c + 1 : c;
  const Character* end = run_end(word, kind);
  return end == word ? c : end;
}

// \s+(?!\S)|\s+: one space is left to the word behind it, unless it is the only one.
const Character* spaces_end(const Character* c) {
  const Character* end = run_end(c, CharKind::space);
  return end->kind == CharKind::boundary || end - c == 1 ? end : end - 1;
}

// A digit is a boundary here, since the regex sees each stretch between digits on its own; so \p{N} never
// occurs.
const Character* piece_end(const Character* c) {
  if (const Character* end = contraction_end(c, /*ignore_case=*/false); end != c) return end;
  if (const Character* end = word_end(c, CharKind::letter); end != c) return end;
  if (const Character* end = word_end(c, CharKind::other); end != c) return end;
  return spaces_end(c);
}

}  // namespace

void pretokenize_smollm(std::string_view text, Pieces& pieces) {
  std::vector<Character> characters = characters_of(text);
  for (Character& c : characters)
    if (is_digit(c)) c.kind = CharKind::boundary;
  for (const Character *c = characters.data(), *last = c + characters.size() - 1; c != last;) {
    const Character* end = c->kind == CharKind::boundary ? c + 1 : piece_end(c);
    pieces.push_back(text.substr(c->offset, end->offset - c->offset));
    c = end;
  }
}

}  // namespace organ
