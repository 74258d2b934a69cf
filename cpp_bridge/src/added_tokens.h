// Tokens that stand in the text literally, such as <|im_start|>, and are cut out before it is normalised.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "vocabulary.h"

namespace organ {

class AddedTokens {
 public:
  struct Match {
    size_t begin, end;
    int32_t id;  // -1: no added token is left, and both begin and end are the length of the text
  };

  // `added` holds rows (id, special). Throws PackError naming the row that is malformed.
  // `vocabulary` must outlive this.
  AddedTokens(std::span<const int32_t> added, const Vocabulary& vocabulary);

  // The leftmost match at or after `from`; the longest one there, whether special or not.
  Match find(std::string_view text, size_t from) const;

  bool contains(int32_t id) const { return is_added_[static_cast<size_t>(id)]; }

 private:
  void add_row(size_t row, int32_t id, int32_t special);

  const Vocabulary& vocabulary_;
  std::vector<bool> is_added_;                           // by id
  std::array<std::vector<int32_t>, 256> by_first_byte_;  // longest first
};

}  // namespace organ
