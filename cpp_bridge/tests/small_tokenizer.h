// A tokenizer small enough to read: every single byte (id = byte), a few merges, a few added tokens.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "organ/tokenizer.h"

struct SmallTables {
  std::vector<uint8_t> bytes;
  std::vector<int32_t> offsets{0};
  std::vector<int32_t> merges, added;
  std::string pretokenizer = "smollm", normalizer = "none";

  SmallTables() {
    for (int byte = 0; byte < 256; ++byte) add_token(std::string(1, static_cast<char>(byte)));
  }

  int32_t add_token(std::string_view text) {
    bytes.insert(bytes.end(), text.begin(), text.end());
    offsets.push_back(static_cast<int32_t>(bytes.size()));
    return static_cast<int32_t>(offsets.size()) - 2;
  }

  std::string text_of(int32_t id) const {
    const auto at = bytes.begin();
    return {at + offsets[static_cast<size_t>(id)], at + offsets[static_cast<size_t>(id) + 1]};
  }

  // The merge of lowest priority so far; makes a token for its result.
  int32_t add_merge(int32_t left, int32_t right) {
    const int32_t result = add_token(text_of(left) + text_of(right));
    merges.insert(merges.end(), {left, right, result});
    return result;
  }

  int32_t add_added(std::string_view text, bool special = true) {
    const int32_t id = add_token(text);
    added.insert(added.end(), {id, special ? 1 : 0});
    return id;
  }

  organ::TokenizerTables view() const { return {bytes, offsets, merges, added, pretokenizer, normalizer}; }
  organ::Tokenizer build() const { return organ::Tokenizer(view()); }
};
