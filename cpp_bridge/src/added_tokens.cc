#include "added_tokens.h"

#include <algorithm>
#include <string>

#include "organ/error.h"
#include "utf8.h"

namespace organ {

namespace {

uint8_t first_byte(std::string_view text) { return static_cast<uint8_t>(text.front()); }

[[noreturn]] void fail(size_t row, const std::string& what) {
  throw PackError("tokenizer.added row " + std::to_string(row) + ": " + what);
}

}  // namespace

AddedTokens::AddedTokens(std::span<const int32_t> added, const Vocabulary& vocabulary)
    : vocabulary_(vocabulary), is_added_(vocabulary.size(), false) {
  if (added.size() % 2 != 0) throw PackError("tokenizer.added: rows must have two columns");
  for (size_t row = 0; row < added.size() / 2; ++row) add_row(row, added[2 * row], added[2 * row + 1]);
  for (auto& ids : by_first_byte_) {
    std::sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
      const std::string_view left = vocabulary_[a], right = vocabulary_[b];
      return left.size() != right.size() ? left.size() > right.size() : left < right;
    });
    const auto twin = std::adjacent_find(ids.begin(), ids.end(),
                                         [&](int32_t a, int32_t b) { return vocabulary_[a] == vocabulary_[b]; });
    if (twin != ids.end())
      throw PackError("tokenizer.added: ids " + std::to_string(twin[0]) + " and " + std::to_string(twin[1]) +
                      " have the same text");
  }
}

void AddedTokens::add_row(size_t row, int32_t id, int32_t special) {
  if (!vocabulary_.contains(id))
    fail(row,
         "id " + std::to_string(id) + " is out of range, there are " + std::to_string(vocabulary_.size()) + " tokens");
  if (special != 0 && special != 1) fail(row, "the flag is " + std::to_string(special) + ", but must be 0 or 1");
  if (is_added_[static_cast<size_t>(id)]) fail(row, "id " + std::to_string(id) + " appears twice");
  const std::string_view text = vocabulary_[id];
  if (text.empty()) fail(row, "token " + std::to_string(id) + " is empty");
  if (find_invalid_utf8(text) != std::string_view::npos) fail(row, "token " + std::to_string(id) + " is not UTF-8");
  is_added_[static_cast<size_t>(id)] = true;
  by_first_byte_[first_byte(text)].push_back(id);
}

AddedTokens::Match AddedTokens::find(std::string_view text, size_t from) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    const std::string_view rest = text.substr(begin);
    for (const int32_t id : by_first_byte_[first_byte(rest)]) {
      const std::string_view token = vocabulary_[id];
      if (rest.starts_with(token)) return {begin, begin + token.size(), id};
    }
  }
  return {text.size(), text.size(), -1};
}

}  // namespace organ
