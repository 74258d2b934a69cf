#include "nfc.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "unicode_tables.h"
#include "utf8.h"

namespace organ {

namespace {

// Hangul syllables are composed by arithmetic: section 3.12 of the Unicode standard.
constexpr char32_t kSBase = 0xAC00, kLBase = 0x1100, kVBase = 0x1161, kTBase = 0x11A7;
constexpr char32_t kLCount = 19, kVCount = 21, kTCount = 28, kSCount = kLCount * kVCount * kTCount;

struct Unit {
  char32_t point;
  uint8_t combining_class;
};

uint8_t combining_class(char32_t point) {
  if (point < 0x300) return 0;
  const auto range = std::lower_bound(kCombiningClasses.begin(), kCombiningClasses.end(), point,
                                      [](const ClassRange& r, char32_t p) { return r.last < p; });
  return range != kCombiningClasses.end() && range->first <= point ? range->combining_class : 0;
}

const Decomposition* decomposition(char32_t point) {
  if (point < 0xC0) return nullptr;
  const auto row = std::lower_bound(kDecompositions.begin(), kDecompositions.end(), point,
                                    [](const Decomposition& d, char32_t p) { return d.point < p; });
  return row != kDecompositions.end() && row->point == point ? &*row : nullptr;
}

void append_unit(std::vector<Unit>& units, char32_t point) { units.push_back({point, combining_class(point)}); }

// Only the first half of a decomposition can decompose further: the table's generator checks that.
void append_decomposed(std::vector<Unit>& units, char32_t point) {
  if (point - kSBase < kSCount) {
    const char32_t index = point - kSBase;
    append_unit(units, kLBase + index / (kVCount * kTCount));
    append_unit(units, kVBase + index % (kVCount * kTCount) / kTCount);
    if (index % kTCount != 0) append_unit(units, kTBase + index % kTCount);
    return;
  }
  const Decomposition* pair = decomposition(point);
  if (pair == nullptr) return append_unit(units, point);
  append_decomposed(units, pair->first);
  if (pair->second != 0) append_unit(units, pair->second);
}

// Puts every run of combining marks into the order of their classes, leaving equal ones as they stand.
void reorder(std::vector<Unit>& units) {
  for (auto run = units.begin(); run != units.end();) {
    if (run->combining_class == 0) {
      ++run;
      continue;
    }
    const auto end = std::find_if(run, units.end(), [](const Unit& u) { return u.combining_class == 0; });
    std::stable_sort(run, end, [](const Unit& a, const Unit& b) { return a.combining_class < b.combining_class; });
    run = end;
  }
}

// 0 if the two do not compose.
char32_t composed(char32_t first, char32_t second) {
  if (first - kLBase < kLCount && second - kVBase < kVCount)
    return kSBase + ((first - kLBase) * kVCount + (second - kVBase)) * kTCount;
  if (first - kSBase < kSCount && (first - kSBase) % kTCount == 0 && second > kTBase && second - kTBase < kTCount)
    return first + (second - kTBase);
  const auto row = std::lower_bound(kCompositions.begin(), kCompositions.end(), Composition{first, second, 0},
                                    [](const Composition& a, const Composition& b) {
                                      return a.first != b.first ? a.first < b.first : a.second < b.second;
                                    });
  return row != kCompositions.end() && row->first == first && row->second == second ? row->point : 0;
}

void compose(std::vector<Unit>& units) {
  size_t kept = 0, starter = 0;
  bool have_starter = false;
  uint8_t last_class = 0;  // of the last unit kept since the starter; 0 if there is none
  for (const Unit unit : units) {
    const bool blocked = last_class != 0 && last_class >= unit.combining_class;
    if (have_starter && !blocked) {
      if (const char32_t point = composed(units[starter].point, unit.point); point != 0) {
        units[starter].point = point;
        continue;
      }
    }
    if (unit.combining_class == 0) {
      have_starter = true;
      starter = kept;
    }
    last_class = unit.combining_class;
    units[kept++] = unit;
  }
  units.resize(kept);
}

// Nothing below U+0300 combines with what stands before it, and 0xCC is the lead byte of U+0300.
bool surely_composed(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0xCC; });
}

}  // namespace

std::string nfc(std::string_view text) {
  if (surely_composed(text)) return std::string(text);
  std::vector<Unit> units;
  units.reserve(text.size());
  for (size_t offset = 0; offset < text.size();) append_decomposed(units, next_utf8(text, offset));
  reorder(units);
  compose(units);
  std::string result;
  result.reserve(text.size());
  for (const Unit& unit : units) append_utf8(result, unit.point);
  return result;
}

}  // namespace organ
