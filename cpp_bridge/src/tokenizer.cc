// The pipeline: added tokens are cut out of the raw text; each stretch between them is normalised, cut into
// words, and each word merged, on its own.
#include "organ/tokenizer.h"

#include <array>
#include <string>

#include "added_tokens.h"
#include "bpe.h"
#include "nfc.h"
#include "pretokenize.h"
#include "utf8.h"
#include "vocabulary.h"

namespace organ {

namespace {

using Pretokenize = void (*)(std::string_view, Pieces&);

// NFC makes a text at most three times as long, so words stay below the 2^32 bytes that Bpe takes.
constexpr size_t kMaxTextBytes = size_t{1} << 30;

Pretokenize pretokenizer_named(std::string_view name) {
  if (name == "qwen2") return pretokenize_qwen2;
  if (name == "smollm") return pretokenize_smollm;
  throw PackError("planck.tokenizer.pretokenizer: unknown \"" + std::string(name) + "\", expected qwen2 or smollm");
}

bool normalizer_is_nfc(std::string_view name) {
  if (name != "nfc" && name != "none")
    throw PackError("planck.tokenizer.normalizer: unknown \"" + std::string(name) + "\", expected nfc or none");
  return name == "nfc";
}

// Published vocabularies may lack bytes that their training text never had, but not those of plain text.
bool plain_text(int byte) { return (byte >= ' ' && byte <= '~') || byte == '\t' || byte == '\n' || byte == '\r'; }

// The token of each byte, -1 where there is none. Added tokens do not count: they stand for text, not for
// bytes.
std::array<int32_t, 256> byte_ids_of(const Vocabulary& vocabulary, const AddedTokens& added) {
  std::array<int32_t, 256> ids;
  ids.fill(-1);
  for (int32_t id = 0; vocabulary.contains(id); ++id) {
    if (vocabulary[id].size() != 1 || added.contains(id)) continue;
    int32_t& slot = ids[static_cast<uint8_t>(vocabulary[id].front())];
    if (slot >= 0)
      throw PackError("tokenizer.token_bytes: tokens " + std::to_string(slot) + " and " + std::to_string(id) +
                      " are the same single byte");
    slot = id;
  }
  for (int byte = 0; byte < 256; ++byte)
    if (plain_text(byte) && ids[static_cast<size_t>(byte)] < 0)
      throw PackError("tokenizer.token_bytes: no token for byte " + std::to_string(byte));
  return ids;
}

}  // namespace

struct Tokenizer::State {
  explicit State(const TokenizerTables& tables)
      : pretokenize(pretokenizer_named(tables.pretokenizer)),
        is_nfc(normalizer_is_nfc(tables.normalizer)),
        vocabulary(tables.token_bytes, tables.token_offsets),
        added(tables.added, vocabulary),
        bpe(byte_ids_of(vocabulary, added), MergeTable(tables.merges, vocabulary)) {}

  void encode_stretch(std::string_view text, Bpe::Workspace& work, std::vector<int32_t>& ids) const {
    const std::string normal = is_nfc ? nfc(text) : std::string(text);
    Pieces words;
    pretokenize(normal, words);
    for (const std::string_view word : words) bpe.encode(word, work, ids);
  }

  Pretokenize pretokenize;
  bool is_nfc;
  Vocabulary vocabulary;
  AddedTokens added;
  Bpe bpe;
};

Tokenizer::Tokenizer(const TokenizerTables& tables) : state_(std::make_unique<const State>(tables)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

std::vector<int32_t> Tokenizer::encode(std::string_view utf8) const {
  if (utf8.size() > kMaxTextBytes)
    throw TextError("the text has " + std::to_string(utf8.size()) + " bytes, more than 1 GiB");
  if (const size_t offset = find_invalid_utf8(utf8); offset != std::string_view::npos)
    throw TextError("the text is not UTF-8 at byte " + std::to_string(offset));
  std::vector<int32_t> ids;
  Bpe::Workspace work;
  for (size_t from = 0; from < utf8.size();) {
    const AddedTokens::Match match = state_->added.find(utf8, from);
    state_->encode_stretch(utf8.substr(from, match.begin - from), work, ids);
    if (match.id >= 0) ids.push_back(match.id);
    from = match.end;
  }
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  std::string bytes;
  for (const int32_t id : ids) bytes += token(id);
  return bytes;
}

std::string_view Tokenizer::token(int32_t id) const {
  if (!state_->vocabulary.contains(id))
    throw TextError("token id " + std::to_string(id) + " is out of range, there are " + std::to_string(size()) +
                    " tokens");
  return state_->vocabulary[id];
}

size_t Tokenizer::size() const { return state_->vocabulary.size(); }

}  // namespace organ
