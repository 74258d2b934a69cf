// Unicode data of the tokenizers, in ascending order of the first field (compositions: of the first two).
// unicode_tables.cc is generated; tools/make_unicode_tables.py says which Unicode versions and why.
#pragma once

#include <cstdint>
#include <span>

namespace organ {

// How the pre-tokenisers' regexes see a character: \p{L}, \p{N}, \s or none of them.
// `boundary` is no property of a character: it marks where a scan has to stop.
enum class CharKind : uint8_t { other, letter, number, space, boundary };

struct KindRange {
  char32_t first, last;
  CharKind kind;
};
struct PointRange {
  char32_t first, last;
};
struct ClassRange {
  char32_t first, last;
  uint8_t combining_class;
};
struct Decomposition {
  char32_t point, first, second;  // second is 0 in a singleton
};
struct Composition {
  char32_t first, second, point;
};

extern const std::span<const KindRange> kKinds;
extern const std::span<const PointRange> kDigitsOnly;  // numbers to the Digits pre-tokeniser, but not \p{N}
extern const std::span<const ClassRange> kCombiningClasses;
extern const std::span<const Decomposition> kDecompositions;
extern const std::span<const Composition> kCompositions;

}  // namespace organ
