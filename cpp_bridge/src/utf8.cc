#include "utf8.h"

#include <algorithm>
#include <cstdint>

namespace organ {

namespace {

uint8_t byte_at(std::string_view text, size_t offset) { return static_cast<uint8_t>(text[offset]); }

struct Lead {
  size_t length;  // 0: no character begins with this byte
  uint8_t second_lo,
      second_hi;  // the second byte's range shuts out overlong forms, surrogates, and what exceeds U+10FFFF
};

// Table 3-7 of the Unicode standard.
Lead lead_of(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

bool valid_character(std::string_view text, size_t offset, const Lead& lead) {
  if (lead.length == 0 || text.size() - offset < lead.length) return false;
  if (lead.length == 1) return true;
  const uint8_t second = byte_at(text, offset + 1);
  if (second < lead.second_lo || second > lead.second_hi) return false;
  for (size_t i = 2; i < lead.length; ++i)
    if ((byte_at(text, offset + i) & 0xC0) != 0x80) return false;
  return true;
}

}  // namespace

size_t find_invalid_utf8(std::string_view text) {
  for (size_t offset = 0; offset < text.size();) {
    const Lead lead = lead_of(byte_at(text, offset));
    if (!valid_character(text, offset, lead)) return offset;
    offset += lead.length;
  }
  return std::string_view::npos;
}

size_t ill_formed_length(std::string_view bad) {
  const Lead lead = lead_of(byte_at(bad, 0));
  if (bad.size() < 2 || byte_at(bad, 1) < lead.second_lo || byte_at(bad, 1) > lead.second_hi) return 1;
  size_t size = 2;
  while (size < std::min(lead.length, bad.size()) && (byte_at(bad, size) & 0xC0) == 0x80) ++size;
  return size;
}

char32_t next_utf8(std::string_view text, size_t& offset) {
  const uint8_t lead = byte_at(text, offset++);
  if (lead < 0x80) return lead;
  const int more = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
  char32_t point = lead & (0x3Fu >> more);
  for (int i = 0; i < more; ++i) point = (point << 6) | (byte_at(text, offset++) & 0x3Fu);
  return point;
}

void append_utf8(std::string& text, char32_t point) {
  const auto put = [&text](char32_t bits) { text.push_back(static_cast<char>(bits)); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xC0 | (point >> 6));
    put(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    put(0xE0 | (point >> 12));
    put(0x80 | ((point >> 6) & 0x3F));
    put(0x80 | (point & 0x3F));
  } else {
    put(0xF0 | (point >> 18));
    put(0x80 | ((point >> 12) & 0x3F));
    put(0x80 | ((point >> 6) & 0x3F));
    put(0x80 | (point & 0x3F));
  }
}

}  // namespace organ
