#include "organ/tokenizer.h"

#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "small_tokenizer.h"

using organ::PackError;
using organ::TextError;
using organ::Tokenizer;
using Ids = std::vector<int32_t>;

namespace {

// he, ll, hell, lo in this order of rank, and two added tokens of which one begins the other.
struct Hello : SmallTables {
  int32_t he = add_merge('h', 'e'), ll = add_merge('l', 'l'), hell = add_merge(he, ll), lo = add_merge('l', 'o');
  int32_t tag = add_added("<|a|>"), longer_tag = add_added("<|a|>b", false);
};

}  // namespace

TEST(merges_apply_by_rank_then_from_the_left) {
  const Hello t;
  const Tokenizer tokenizer = t.build();
  CHECK(tokenizer.encode("hello") == (Ids{t.hell, 'o'}));
  CHECK(tokenizer.encode("helo") == (Ids{t.he, t.lo}));
  CHECK(tokenizer.encode("lll") == (Ids{t.ll, 'l'}));
  CHECK(tokenizer.encode("") == Ids{});
}

// (a, b) is queued at first, and stale once b has gone into bc: it must not let (a, bc) go before (bc, d).
TEST(a_stale_pair_does_not_jump_the_queue) {
  SmallTables t;
  const int32_t bc = t.add_merge('b', 'c');
  t.add_merge('a', 'b');
  const int32_t bcd = t.add_merge(bc, 'd');
  t.add_merge('a', bc);
  CHECK(t.build().encode("abcd") == (Ids{'a', bcd}));
}

TEST(words_do_not_merge_with_each_other) {
  const Hello t;
  CHECK(t.build().encode("h2e") == (Ids{'h', '2', 'e'}));
}

TEST(added_tokens_are_cut_out_leftmost_and_longest) {
  const Hello t;
  const Tokenizer tokenizer = t.build();
  CHECK(tokenizer.encode("h<|a|>e") == (Ids{'h', t.tag, 'e'}));
  CHECK(tokenizer.encode("<|a|>b<|a|>") == (Ids{t.longer_tag, t.tag}));
  CHECK(tokenizer.encode("<|<|a|>") == (Ids{'<', '|', t.tag}));
  CHECK(tokenizer.encode("<|a|") == (Ids{'<', '|', 'a', '|'}));
}

TEST(added_tokens_come_before_normalisation) {
  Hello t;
  t.normalizer = "nfc";
  t.pretokenizer = "qwen2";
  const Tokenizer tokenizer = t.build();
  // ">" and U+0338 would compose, but the token has been cut out before.
  CHECK_EQ(tokenizer.decode(tokenizer.encode("<|a|>\u0338e\u0301")), "<|a|>\u0338\u00e9");
  CHECK_EQ(tokenizer.encode("<|a|>\u0338").front(), t.tag);
}

TEST(decoding_gives_the_exact_bytes) {
  const Hello t;
  const Tokenizer tokenizer = t.build();
  const std::string text = "hello \xf0\x9f\x98\x80\r\n<|a|>b\u00e9e\u0301";
  CHECK_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  CHECK_EQ(tokenizer.decode(Ids{0xF0, 0x9F}), "\xf0\x9f");
  CHECK_EQ(tokenizer.token(t.hell), "hell");
  CHECK_EQ(tokenizer.size(), 262u);
}

TEST(ids_out_of_range) {
  const Tokenizer tokenizer = Hello().build();
  CHECK_THROWS(TextError, tokenizer.decode(Ids{0, 262}), "token id 262 is out of range, there are 262 tokens");
  CHECK_THROWS(TextError, tokenizer.token(-1), "token id -1");
}

TEST(text_that_is_not_utf8) {
  const Tokenizer tokenizer = Hello().build();
  CHECK_THROWS(TextError, tokenizer.encode("ab\xff"), "at byte 2");
  CHECK_THROWS(TextError, tokenizer.encode("\x80"), "at byte 0");
  CHECK_THROWS(TextError, tokenizer.encode("a\xc3"), "at byte 1");             // truncated
  CHECK_THROWS(TextError, tokenizer.encode("\xc0\x80"), "at byte 0");          // overlong
  CHECK_THROWS(TextError, tokenizer.encode("\xe0\x9f\xbf"), "at byte 0");      // overlong
  CHECK_THROWS(TextError, tokenizer.encode("\xed\xa0\x80"), "at byte 0");      // surrogate
  CHECK_THROWS(TextError, tokenizer.encode("\xf4\x90\x80\x80"), "at byte 0");  // beyond U+10FFFF
  CHECK_THROWS(TextError, tokenizer.encode("\xf0\x9f\x98"), "at byte 0");
  CHECK_EQ(tokenizer.encode("\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80").size(), 10u);
}

// As in SmolLM2's vocabulary, which has no token for U+0004; what stood around it can merge.
TEST(a_byte_without_a_token_is_dropped) {
  SmallTables t;
  t.add_merge('!', '!');
  for (size_t row = 5; row < t.offsets.size(); ++row) --t.offsets[row];
  t.bytes.erase(t.bytes.begin() + 4);  // token 4 is empty now
  const Tokenizer tokenizer = t.build();
  CHECK(tokenizer.encode("!\x04!") == Ids{256});
  CHECK(tokenizer.encode("\x04") == Ids{});
}

TEST(a_long_run_is_not_quadratic) {
  SmallTables t;
  int32_t power = 'a';
  for (int i = 0; i < 4; ++i) power = t.add_merge(power, power);
  const Ids ids = t.build().encode(std::string(1 << 20, 'a'));
  CHECK_EQ(ids.size(), size_t{1} << 16);
  CHECK_EQ(ids.back(), power);
}

TEST(concurrent_calls_agree) {
  const Hello t;
  const Tokenizer tokenizer = t.build();
  std::string text;
  for (int i = 0; i < 500; ++i) text += "hello <|a|> helo 12 ";
  const Ids expected = tokenizer.encode(text);
  std::vector<Ids> results(4);
  std::vector<std::thread> threads;
  for (Ids& result : results) threads.emplace_back([&] { result = tokenizer.encode(text); });
  for (std::thread& thread : threads) thread.join();
  for (const Ids& result : results) CHECK(result == expected);
}

TEST(malformed_offsets) {
  Hello t;
  t.offsets[0] = 1;
  CHECK_THROWS(PackError, t.build(), "tokenizer.token_offsets row 0: 1 instead of 0");
  t = Hello();
  t.offsets[5] = 9;
  CHECK_THROWS(PackError, t.build(), "tokenizer.token_offsets row 6: 6 lies before the row above, 9");
  t = Hello();
  t.offsets[5] = -1;
  CHECK_THROWS(PackError, t.build(), "tokenizer.token_offsets row 5");
  t = Hello();
  t.bytes.pop_back();
  CHECK_THROWS(PackError, t.build(), "tokenizer.token_offsets row 262: ends at");
  t.offsets = {0};
  CHECK_THROWS(PackError, t.build(), "tokenizer.token_offsets: empty");
  t.offsets = {};
  CHECK_THROWS(PackError, t.build(), "tokenizer.token_offsets: empty");
}

TEST(malformed_merges) {
  Hello t;
  t.merges.pop_back();
  CHECK_THROWS(PackError, t.build(), "tokenizer.merges: rows must have three columns");
  for (const int32_t id : {-1, 262, 2147483647}) {
    t = Hello();
    t.merges[4] = id;
    CHECK_THROWS(PackError, t.build(), "tokenizer.merges row 1: id " + std::to_string(id) + " is out of range");
  }
  t = Hello();
  t.merges[2] = t.ll;
  CHECK_THROWS(PackError, t.build(), "tokenizer.merges row 0: token 257 is not token 104 followed by token 101");
  t = Hello();
  t.merges.insert(t.merges.end(), {'h', 'e', t.he});
  CHECK_THROWS(PackError, t.build(), "tokenizer.merges row 4: the pair of row 0 again");
  t = Hello();
  const int32_t empty = t.add_token("");
  t.merges.insert(t.merges.end(), {'h', empty, 'h'});
  CHECK_THROWS(PackError, t.build(), "tokenizer.merges row 4: merges an empty token");
}

TEST(malformed_added_tokens) {
  Hello t;
  t.added.pop_back();
  CHECK_THROWS(PackError, t.build(), "tokenizer.added: rows must have two columns");
  t = Hello();
  t.added[2] = 262;
  CHECK_THROWS(PackError, t.build(), "tokenizer.added row 1: id 262 is out of range");
  t = Hello();
  t.added[3] = 2;
  CHECK_THROWS(PackError, t.build(), "tokenizer.added row 1: the flag is 2");
  t = Hello();
  t.added[2] = t.added[0];
  CHECK_THROWS(PackError, t.build(), "tokenizer.added row 1: id 260 appears twice");
  t = Hello();
  t.add_added("");
  CHECK_THROWS(PackError, t.build(), "tokenizer.added row 2: token 262 is empty");
  t = Hello();
  t.add_added("\xe2\x82");
  CHECK_THROWS(PackError, t.build(), "tokenizer.added row 2: token 262 is not UTF-8");
  t = Hello();
  t.add_added("<|a|>");
  CHECK_THROWS(PackError, t.build(), "tokenizer.added: ids 260 and 262 have the same text");
}

TEST(byte_tokens) {
  Hello t;
  t.bytes['A'] = 'B';
  CHECK_THROWS(PackError, t.build(), "tokenizer.token_bytes: tokens 65 and 66 are the same single byte");
  t = Hello();
  t.added.insert(t.added.end(), {'A', 1});  // an added token stands for text, not for a byte
  CHECK_THROWS(PackError, t.build(), "tokenizer.token_bytes: no token for byte 65");
}

TEST(unknown_names) {
  Hello t;
  t.pretokenizer = "gpt4";
  CHECK_THROWS(PackError, t.build(), "planck.tokenizer.pretokenizer: unknown \"gpt4\"");
  t = Hello();
  t.normalizer = "NFC";
  CHECK_THROWS(PackError, t.build(), "planck.tokenizer.normalizer: unknown \"NFC\"");
}

TEST_MAIN()
