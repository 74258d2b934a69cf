#include "vocabulary.h"

#include <limits>
#include <string>

#include "organ/error.h"

namespace organ {

namespace {

[[noreturn]] void fail(const std::string& what) { throw PackError("tokenizer.token_offsets" + what); }

}  // namespace

Vocabulary::Vocabulary(std::span<const uint8_t> token_bytes, std::span<const int32_t> token_offsets)
    : bytes_(token_bytes.begin(), token_bytes.end()), offsets_(token_offsets.begin(), token_offsets.end()) {
  if (offsets_.size() < 2) fail(": empty; there must be one more offset than tokens");
  if (offsets_.size() - 1 > static_cast<size_t>(std::numeric_limits<int32_t>::max()))
    fail(": more tokens than token ids can name");
  if (offsets_.front() != 0) fail(" row 0: " + std::to_string(offsets_.front()) + " instead of 0");
  for (size_t row = 1; row < offsets_.size(); ++row)
    if (offsets_[row] < offsets_[row - 1])
      fail(" row " + std::to_string(row) + ": " + std::to_string(offsets_[row]) + " lies before the row above, " +
           std::to_string(offsets_[row - 1]));
  if (static_cast<size_t>(offsets_.back()) != bytes_.size())
    fail(" row " + std::to_string(offsets_.size() - 1) + ": ends at " + std::to_string(offsets_.back()) + ", but " +
         "tokenizer.token_bytes has " + std::to_string(bytes_.size()) + " bytes");
}

std::string_view Vocabulary::operator[](int32_t id) const {
  const auto begin = static_cast<size_t>(offsets_[static_cast<size_t>(id)]);
  const auto end = static_cast<size_t>(offsets_[static_cast<size_t>(id) + 1]);
  return {bytes_.data() + begin, end - begin};
}

}  // namespace organ
