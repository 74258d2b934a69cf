#include "code_block.h"

namespace organ {
namespace {

std::string_view strip_indent(std::string_view line) {
  const size_t at = line.find_first_not_of(" \t");
  return at == std::string_view::npos ? std::string_view() : line.substr(at);
}

// The character of a fence (three of it) that this line begins with, '\0' for none.
char fence_of(std::string_view line) {
  const std::string_view text = strip_indent(line);
  if (text.substr(0, 3) == "```") return '`';
  if (text.substr(0, 3) == "~~~") return '~';
  return '\0';
}

bool defines_function(std::string_view line) {
  const std::string_view text = strip_indent(line);
  return text.substr(0, 4) == "def " || text.substr(0, 10) == "async def ";
}

}  // namespace

bool CodeBlockWatcher::feed(std::string_view bytes) {
  for (const char c : bytes) {
    if (c == '\n') {
      end_line();
    } else {
      line_.push_back(c);
    }
    // A closing fence counts as soon as its third character is there: no token after it can take it back.
    if (fence_ != '\0' && has_function_ && fence_of(line_) == fence_) closed_ = true;
  }
  return closed_;
}

void CodeBlockWatcher::end_line() {
  const char fence = fence_of(line_);
  if (fence_ == '\0') {
    fence_ = fence;
    has_function_ = false;
  } else if (fence == fence_) {
    fence_ = '\0';
  } else if (defines_function(line_)) {
    has_function_ = true;
  }
  line_.clear();
}

}  // namespace organ
