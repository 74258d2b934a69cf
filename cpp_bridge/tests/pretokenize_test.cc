#include "pretokenize.h"

#include <string>

#include "check.h"

namespace {

// The pieces between bars.
std::string joined(void (*pretokenize)(std::string_view, organ::Pieces&), std::string_view text) {
  organ::Pieces pieces;
  pretokenize(text, pieces);
  std::string result;
  for (const std::string_view piece : pieces) result += std::string(result.empty() ? "" : "|") + std::string(piece);
  return result;
}

std::string qwen2(std::string_view text) { return joined(organ::pretokenize_qwen2, text); }
std::string smollm(std::string_view text) { return joined(organ::pretokenize_smollm, text); }

}  // namespace

TEST(empty_text_has_no_pieces) {
  CHECK_EQ(qwen2(""), "");
  CHECK_EQ(smollm(""), "");
}

TEST(words_take_one_space_along) {
  CHECK_EQ(qwen2("def add(x, y):"), "def| add|(x|,| y|):");
  CHECK_EQ(smollm("def add(x, y):"), "def| add|(|x|,| y|):");
}

TEST(qwen2_letters_take_any_one_symbol_or_space_along) {
  CHECK_EQ(qwen2("\tif"), "\tif");
  CHECK_EQ(qwen2("_x"), "_x");
  CHECK_EQ(qwen2("\u00a0a"), "\u00a0a");
  CHECK_EQ(qwen2("\na"), "\n|a");
  CHECK_EQ(qwen2("((a"), "((|a");
  CHECK_EQ(smollm("\tif"), "\t|if");
}

TEST(digits_stand_alone) {
  CHECK_EQ(qwen2("a12 34"), "a|1|2| |3|4");
  CHECK_EQ(smollm("a12 34"), "a|1|2| |3|4");
  CHECK_EQ(smollm("\u0661\u00bd\u2167"), "\u0661|\u00bd|\u2167");
}

// To the regex, the text ends at a digit: all spaces before it are one piece.
TEST(spaces_before_a_digit) {
  CHECK_EQ(smollm("a   1"), "a|   |1");
  CHECK_EQ(qwen2("a   1"), "a|  | |1");
}

TEST(a_run_of_spaces_leaves_one_to_the_word) {
  CHECK_EQ(qwen2("a   b"), "a|  | b");
  CHECK_EQ(smollm("a   b"), "a|  | b");
  CHECK_EQ(qwen2("a   "), "a|   ");
  CHECK_EQ(smollm("a   "), "a|   ");
  CHECK_EQ(smollm("a\t\tb"), "a|\t|\t|b");
  CHECK_EQ(qwen2("a \t(b"), "a| |\t|(b");
}

TEST(newlines_end_a_run_of_spaces_in_qwen2) {
  CHECK_EQ(qwen2("a\r\n\r\n  b"), "a|\r\n\r\n| | b");
  CHECK_EQ(qwen2("a  \n\t\n  "), "a|  \n\t\n|  ");
  CHECK_EQ(qwen2("x;\r\n\r\ny"), "x|;\r\n\r\n|y");
  CHECK_EQ(smollm("a\n\n  b"), "a|\n\n | b");
}

TEST(contractions) {
  CHECK_EQ(qwen2("I'm we'LL x'S"), "I|'m| we|'LL| x|'S");
  CHECK_EQ(smollm("I'm we'LL x'S"), "I|'m| we|'|LL| x|'|S");
  CHECK_EQ(qwen2("they'redone"), "they|'re|done");
  CHECK_EQ(qwen2("x'\u017fb"), "x|'\u017f|b");  // the long s folds to s
  CHECK_EQ(qwen2("x'\u1e9bb"), "x|'\u1e9bb");   // the dotted one does not
  CHECK_EQ(smollm("'\u017f"), "'|\u017f");
  CHECK_EQ(qwen2("'"), "'");
  CHECK_EQ(qwen2("'r"), "'r");
  CHECK_EQ(smollm("'r"), "'|r");
  CHECK_EQ(smollm("'l'l"), "'|l|'|l");
}

TEST(combining_marks_are_symbols) {
  CHECK_EQ(qwen2("e\u0301a"), "e|\u0301a");
  CHECK_EQ(smollm("e\u0301a"), "e|\u0301|a");
}

TEST(what_is_a_space) {
  for (const char* space : {"\u0085", "\u00a0", "\u1680", "\u2003", "\u2028", "\u3000"})
    CHECK_EQ(smollm(std::string("!") + space + "!"), std::string("!|") + space + "|!");
  for (const char* symbol : {"\x1c", "\x1f", "\u180e", "\u200b", "\ufeff"})
    CHECK_EQ(smollm(std::string("!") + symbol + "!"), std::string("!") + symbol + "!");
}

// The regexes follow Unicode 16, where U+11DE0 is unassigned; Digits follows Unicode 17, where it is a
// number.
TEST(digits_follow_a_younger_unicode) {
  CHECK_EQ(smollm("!\U00011de0!"), "!|\U00011de0|!");
  CHECK_EQ(qwen2("!\U00011de0!"), "!\U00011de0!");
  CHECK_EQ(qwen2("!\U00010d4a!"), "!\U00010d4a|!");  // Garay, a letter since Unicode 16
}

TEST(zero_characters_are_symbols) {
  using namespace std::string_view_literals;
  CHECK_EQ(smollm("a\0b"sv), "a|\0|b"sv);
  CHECK_EQ(qwen2("'\0"sv), "'\0"sv);
}

TEST_MAIN()
