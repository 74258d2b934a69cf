#include <algorithm>
#include <cstdio>

#include "json.h"
#include "utf8.h"

namespace organ {
namespace {

void append_escaped(std::string& out, std::string_view utf8) {
  for (const char c : utf8) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
      out += escape;
    } else {
      out += c;
    }
  }
}

}  // namespace

std::string json_string(std::string_view bytes) {
  std::string out = "\"";
  while (!bytes.empty()) {
    const size_t good = std::min(find_invalid_utf8(bytes), bytes.size());
    append_escaped(out, bytes.substr(0, good));
    bytes.remove_prefix(good);
    if (bytes.empty()) break;
    out += "\xEF\xBF\xBD";
    bytes.remove_prefix(ill_formed_length(bytes));
  }
  return out + "\"";
}

}  // namespace organ
