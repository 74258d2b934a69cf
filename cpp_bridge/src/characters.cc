#include "characters.h"

#include <algorithm>

#include "utf8.h"

namespace organ {

namespace {

CharKind ascii_kind(char32_t point) {
  if ((point | 0x20) >= 'a' && (point | 0x20) <= 'z') return CharKind::letter;
  if (point >= '0' && point <= '9') return CharKind::number;
  if (point == ' ' || (point >= '\t' && point <= '\r')) return CharKind::space;
  return CharKind::other;
}

// Unicode folds the long s (U+017F) to s, and so does Oniguruma under (?i). No other letter of a contraction
// has a second lower-case form.
char32_t folded(char32_t point) {
  if (point >= 'A' && point <= 'Z') return point + ('a' - 'A');
  return point == 0x17F ? U's' : point;
}

template <class Range>
const Range* find_range(std::span<const Range> ranges, char32_t point) {
  const auto range =
      std::lower_bound(ranges.begin(), ranges.end(), point, [](const Range& r, char32_t p) { return r.last < p; });
  return range != ranges.end() && range->first <= point ? &*range : nullptr;
}

CharKind char_kind(char32_t point) {
  if (point < 0x80) return ascii_kind(point);
  const KindRange* range = find_range(kKinds, point);
  return range != nullptr ? range->kind : CharKind::other;
}

}  // namespace

bool is_digit(const Character& c) { return c.kind == CharKind::number || find_range(kDigitsOnly, c.point) != nullptr; }

std::vector<Character> characters_of(std::string_view text) {
  std::vector<Character> characters;
  characters.reserve(text.size() + 1);
  for (size_t offset = 0; offset < text.size();) {
    const size_t begin = offset;
    const char32_t point = next_utf8(text, offset);
    characters.push_back({point, char_kind(point), begin});
  }
  characters.push_back({0, CharKind::boundary, text.size()});
  return characters;
}

const Character* contraction_end(const Character* c, bool ignore_case) {
  if (c->point != '\'' || c[1].kind == CharKind::boundary) return c;
  const auto letter = [ignore_case](const Character& at) { return ignore_case ? folded(at.point) : at.point; };
  const char32_t first = letter(c[1]), second = letter(c[2]);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return c + 2;
  if ((first == 'r' || first == 'v') && second == 'e') return c + 3;
  if (first == 'l' && second == 'l') return c + 3;
  return c;
}

}  // namespace organ
