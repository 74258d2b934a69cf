#include "nfc.h"

#include <string>

#include "check.h"

using organ::nfc;

TEST(ascii_and_latin_pass_through) {
  CHECK_EQ(nfc(""), "");
  CHECK_EQ(nfc("plain text\r\n"), "plain text\r\n");
  CHECK_EQ(nfc("caf\u00e9 \u00c5"), "caf\u00e9 \u00c5");
}

TEST(letters_and_marks_compose) {
  CHECK_EQ(nfc("e\u0301"), "\u00e9");
  CHECK_EQ(nfc("s\u0323\u0307"), "\u1e69");
  CHECK_EQ(nfc("<\u0338"), "\u226e");
}

TEST(marks_are_put_into_the_order_of_their_classes) {
  CHECK_EQ(nfc("s\u0307\u0323"), "\u1e69");
  CHECK_EQ(nfc("q\u0307\u0323"), "q\u0323\u0307");
  CHECK_EQ(nfc("q\u0301\u0300"), "q\u0301\u0300");  // equal classes stay as they stand
}

TEST(a_mark_of_the_same_class_blocks) {
  CHECK_EQ(nfc("a\u0305\u0301"), "a\u0305\u0301");
  CHECK_EQ(nfc("a\u0331\u0301"), "\u00e1\u0331");
}

TEST(a_starter_between_blocks) { CHECK_EQ(nfc("a\u200d\u0301"), "a\u200d\u0301"); }

TEST(marks_without_a_starter_stay) {
  CHECK_EQ(nfc("\u0301\u0323"), "\u0323\u0301");
  CHECK_EQ(nfc("\u0301"), "\u0301");
}

TEST(singletons_and_exclusions_decompose_for_good) {
  CHECK_EQ(nfc("\u212b"), "\u00c5");        // ANGSTROM SIGN
  CHECK_EQ(nfc("\u0344"), "\u0308\u0301");  // no starter in front
  CHECK_EQ(nfc("\u0958"), "\u0915\u093c");  // composition exclusion
  CHECK_EQ(nfc("\U0002f800"), "\u4e3d");    // CJK compatibility ideograph
  CHECK_EQ(nfc("\u1fee"), "\u0385");
  CHECK_EQ(nfc("\u1ed7"), "\u1ed7");  // decomposes in two steps and composes again
}

TEST(a_starter_composes_with_a_starter) { CHECK_EQ(nfc("\u0b47\u0b3e"), "\u0b4b"); }

TEST(hangul_is_arithmetic) {
  CHECK_EQ(nfc("\u1100\u1161"), "\uac00");
  CHECK_EQ(nfc("\u1100\u1161\u11a8"), "\uac01");
  CHECK_EQ(nfc("\uac00\u11c2"), "\uac1b");
  CHECK_EQ(nfc("\ud788\u11c2"), "\ud7a3");
  CHECK_EQ(nfc("\uac01\u11a8"), "\uac01\u11a8");  // has its final consonant already
  CHECK_EQ(nfc("\uac00\u11a7"), "\uac00\u11a7");  // U+11A7 is the base of the finals, not one of them
  CHECK_EQ(nfc("\uac01"), "\uac01");
  CHECK_EQ(nfc("\u1113\u1161"), "\u1113\u1161");  // an old initial does not compose
}

// The reference's tables are those of Unicode 9: what came later passes through.
TEST(younger_characters_are_unknown) {
  CHECK_EQ(nfc("\U00011935\U00011930"), "\U00011935\U00011930");  // Unicode 13 composes them
  CHECK_EQ(nfc("\U00010f46\u0323"), "\U00010f46\u0323");          // Unicode 11 gives the first class 230
}

TEST(long_runs_of_marks) {
  std::string text = "a";
  for (int i = 0; i < 50000; ++i) text += "\u0301\u0323";
  const std::string result = nfc(text);
  CHECK_EQ(result.size(), text.size());  // the first dot composes, without changing the length
  CHECK(result.starts_with("\u1ea1\u0323"));
  CHECK(result.ends_with("\u0301"));
}

TEST_MAIN()
