// Watches a completion as it grows and tells when the code block with the answer is closed, so that generation can
// stop there: what a chat model writes after its function is explanation, and explanation costs most of the tokens.
#pragma once

#include <string>
#include <string_view>

namespace organ {

class CodeBlockWatcher {
 public:
  // Takes the next bytes of the completion; true once a fenced block that defines a function has its closing fence.
  bool feed(std::string_view bytes);

 private:
  void end_line();

  std::string line_;   // the current line so far
  char fence_ = '\0';  // '`' or '~' inside a block, else '\0'
  bool has_function_ = false;
  bool closed_ = false;
};

}  // namespace organ
