#include "code_block.h"

#include "check.h"

namespace organ {
namespace {

// Feeds byte by byte; the number of bytes after which the watcher said so, -1 if it never did.
int closed_after(const std::string& text) {
  CodeBlockWatcher watcher;
  for (size_t i = 0; i < text.size(); ++i)
    if (watcher.feed(text.substr(i, 1))) return static_cast<int>(i) + 1;
  return -1;
}

TEST(closes_at_the_third_character_of_the_closing_fence) {
  const std::string block = "Sure:\n```python\ndef f(x):\n    return x\n```";
  CHECK_EQ(closed_after(block), static_cast<int>(block.size()));
  CHECK_EQ(closed_after(block + "\nIt returns x."), static_cast<int>(block.size()));
}

TEST(whole_tokens_give_the_same_answer_as_bytes) {
  CodeBlockWatcher watcher;
  CHECK(!watcher.feed("```python\ndef f():"));
  CHECK(!watcher.feed("\n    return 1\n``"));
  CHECK(watcher.feed("`\n\nThis"));
}

TEST(a_block_without_a_function_does_not_end_the_answer) {
  CHECK_EQ(closed_after("```\npip install x\n```\nand\n"), -1);
  const std::string two = "```\nx = 1\n```\n```python\nasync def f():\n    pass\n```";
  CHECK_EQ(closed_after(two), static_cast<int>(two.size()));
}

TEST(prose_and_unfenced_code_never_close) {
  CHECK_EQ(closed_after("def f():\n    return '```'\n"), -1);
  CHECK_EQ(closed_after("```python\ndef f():\n    return 1\n"), -1);
}

TEST(fences_inside_a_line_or_of_the_other_kind_do_not_close) {
  CHECK_EQ(closed_after("```python\ndef f():\n    s = '```'\n~~~\n"), -1);
  const std::string tilde = "~~~\ndef f(): pass\n~~~";
  CHECK_EQ(closed_after(tilde), static_cast<int>(tilde.size()));
}

}  // namespace
}  // namespace organ

TEST_MAIN()
