// Byte-level BPE, token for token what Hugging Face's tokenizers library makes of the same tables.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "organ/error.h"

namespace organ {

// The tokenizer tensors of a pack, as they lie in the file.
struct TokenizerTables {
  std::span<const uint8_t> token_bytes;    // the raw bytes of all tokens, one after the other
  std::span<const int32_t> token_offsets;  // [tokens + 1] into token_bytes
  std::span<const int32_t> merges;         // [m, 3]: left, right, result; the row is the rank
  std::span<const int32_t> added;          // [a, 2]: id, 1 if special; matched literally before anything else
  std::string_view pretokenizer;           // "qwen2" | "smollm"
  std::string_view normalizer;             // "nfc" | "none"
};

// Safe for concurrent use: nothing changes after construction.
class Tokenizer {
 public:
  // Copies what it needs. Throws PackError naming the field and row that is malformed.
  explicit Tokenizer(const TokenizerTables& tables);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  // A byte that no token stands for is dropped, as the reference does: SmolLM2 lacks a few control
  // characters. Throws TextError naming the byte offset if the text is not UTF-8, and if it is larger than 1
  // GiB.
  std::vector<int32_t> encode(std::string_view utf8) const;

  // The exact bytes of the tokens, added tokens as their text. A token may end inside a character.
  // Throws TextError on an id out of range.
  std::string decode(std::span<const int32_t> ids) const;

  // Throws TextError on an id out of range.
  std::string_view token(int32_t id) const;

  size_t size() const;  // number of tokens

 private:
  struct State;
  std::unique_ptr<const State> state_;
};

}  // namespace organ
