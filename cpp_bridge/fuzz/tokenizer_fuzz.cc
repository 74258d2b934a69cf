// Two thirds of the inputs are texts for a small sound tokenizer, which must give them back; the others are
// tables.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "nfc.h"
#include "organ/tokenizer.h"
#include "small_tokenizer.h"
#include "utf8.h"

namespace {

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

organ::Tokenizer sound_tokenizer(const char* pretokenizer, const char* normalizer) {
  SmallTables t;
  int32_t spaces = ' ';
  for (int i = 0; i < 3; ++i) spaces = t.add_merge(spaces, spaces);
  t.add_merge(t.add_merge('a', 'b'), 'a');
  t.add_merge(0xCC, 0x81);
  t.add_added("<|a|>");
  t.add_added("<|", false);
  t.pretokenizer = pretokenizer;
  t.normalizer = normalizer;
  return t.build();
}

// What decoding must give back. Added tokens are cut out first and keep what stands beside them from
// composing with them, so a text that holds one comes back equal to its normal form only after normalisation.
enum class Back { exact, normalised, equivalent, anything };

void check_back(const organ::Tokenizer& tokenizer, const std::vector<int32_t>& ids, std::string_view text, Back want) {
  const std::string back = tokenizer.decode(ids);
  if (want == Back::exact) require(back == text, "the text did not come back");
  if (want == Back::equivalent) require(organ::nfc(back) == organ::nfc(text), "an equivalent text did not come back");
  if (want != Back::normalised) return;
  require(back == organ::nfc(text), "the normalised text did not come back");
  require(organ::nfc(back) == back, "normalising twice is not normalising once");
  require(tokenizer.encode(back) == ids, "the normalised text encodes otherwise");
}

void check_text(const organ::Tokenizer& tokenizer, std::string_view text, Back want) {
  const bool valid = organ::find_invalid_utf8(text) == std::string_view::npos;
  try {
    const std::vector<int32_t> ids = tokenizer.encode(text);
    require(valid, "accepted invalid UTF-8");
    check_back(tokenizer, ids, text, want);
  } catch (const organ::TextError&) {
    require(!valid, "refused valid UTF-8");
  }
}

// Little-endian numbers off the front of the input, zeros when it is used up.
struct Reader {
  const uint8_t* data;
  size_t left;

  uint8_t byte() {
    if (left == 0) return 0;
    --left;
    return *data++;
  }

  // Mostly near the ids of the small tables, at times anything at all.
  int32_t id() {
    const uint8_t kind = byte();
    if (kind < 224) return byte() + (kind % 2 != 0 ? 200 : 0);
    uint32_t value = 0;
    for (int i = 0; i < 4; ++i) value = value << 8 | byte();
    return static_cast<int32_t>(value);
  }
};

// Two bytes a character, from pages where normalisation and the regexes have something to do: random bytes
// alone are hardly ever UTF-8.
std::string characters(Reader in) {
  constexpr char32_t kPages[] = {0x0,    0x0,    0x0,    0x100,  0x300,  0x900,  0xB00,   0x1100,  0x1100, 0x1E00,
                                 0x2000, 0x2100, 0x3000, 0xAC00, 0xF900, 0xFB00, 0x11100, 0x1D100, 0x2F800};
  std::string text;
  while (in.left > 0) {
    const char32_t page = kPages[in.byte() % std::size(kPages)];
    organ::append_utf8(text, page + in.byte());
  }
  return text;
}

void check_tables(Reader in) {
  SmallTables t;
  const uint8_t flags = in.byte();
  t.pretokenizer = flags & 1 ? "qwen2" : flags & 2 ? "?" : "smollm";
  t.normalizer = flags & 4 ? "nfc" : flags & 8 ? "" : "none";
  for (int i = in.byte() % 8; i > 0; --i) {
    const size_t length = in.byte() % 4;
    const std::string text(length, static_cast<char>(in.byte()));
    if (flags & 16)
      t.add_added(text + "|");
    else
      t.add_token(text);
  }
  for (int i = in.byte() % 8; i > 0; --i) {
    const int32_t left = in.byte();
    t.add_merge(left, in.byte());
  }
  for (int i = in.byte() % 4; i > 0; --i) t.merges.push_back(in.id());
  for (int i = in.byte() % 4; i > 0; --i) t.added.push_back(in.id());
  if (flags & 32) t.offsets[in.byte()] = in.id();
  if (flags & 64) t.offsets.resize(in.byte());
  if (flags & 128) t.bytes.resize(t.bytes.size() - in.byte());
  // Damaged tables that pass may lack bytes, which are dropped then.
  const Back want = flags >= 32 ? Back::anything : t.normalizer == "nfc" ? Back::equivalent : Back::exact;
  try {
    check_text(t.build(), {reinterpret_cast<const char*>(in.data), in.left}, want);
  } catch (const organ::PackError& error) {
    require(std::strstr(error.what(), "tokenizer.") != nullptr, "an error that names no field");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const organ::Tokenizer qwen2 = sound_tokenizer("qwen2", "nfc");
  static const organ::Tokenizer smollm = sound_tokenizer("smollm", "none");
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string text = data[0] & 4 ? characters({data + 1, size - 1}) : std::string(bytes);
  switch (data[0] % 4) {
    case 0:
      check_text(qwen2, text, text.find('<') == text.npos ? Back::normalised : Back::equivalent);
      break;
    case 1:
      check_text(smollm, text, Back::exact);
      break;
    default:
      check_tables({data + 1, size - 1});
  }
  return 0;
}
