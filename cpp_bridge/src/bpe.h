// Byte pair encoding: the merge of lowest rank first, the leftmost of equals, until none applies.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "vocabulary.h"

namespace organ {

// From a pair of neighbouring tokens to their merge: open addressing, at most half full, built once.
class MergeTable {
 public:
  struct Merge {
    uint64_t pair;  // left id and right id
    uint32_t rank;
    int32_t result;
  };

  // `merges` holds rows (left, right, result) in order of rank. Throws PackError naming the row that is
  // malformed: the result's bytes must be those of left and right, and no pair may come twice.
  MergeTable(std::span<const int32_t> merges, const Vocabulary& vocabulary);

  // nullptr if the two do not merge. -1 merges with nothing.
  const Merge* find(int32_t left, int32_t right) const;

 private:
  size_t slot_of(uint64_t pair) const;

  std::vector<Merge> slots_;
};

class Bpe {
 public:
  // Room that encode() reuses from word to word.
  struct Workspace {
    struct Symbol {
      int32_t id;               // -1: merged into the one before it
      uint32_t previous, next;  // kNone at the ends
    };
    std::vector<Symbol> symbols;
    std::vector<uint64_t> queue;  // a heap of rank << 32 | index of the left symbol
  };

  // byte_ids[b]: the token of byte b, or -1 if there is none.
  Bpe(const std::array<int32_t, 256>& byte_ids, MergeTable merges);

  // Appends the tokens of one word of less than 2^32 bytes; bytes without a token are dropped.
  // O(n log n), however long the word.
  void encode(std::string_view word, Workspace& work, std::vector<int32_t>& ids) const;

 private:
  void load(std::string_view word, Workspace& work) const;
  void offer(Workspace& work, uint32_t left) const;
  void merge(Workspace& work, uint32_t left, int32_t result) const;

  std::array<int32_t, 256> byte_ids_;
  MergeTable merges_;
};

}  // namespace organ
