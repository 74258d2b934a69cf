#include "bpe.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>
#include <string>
#include <utility>

#include "organ/error.h"

namespace organ {

namespace {

constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();
constexpr uint64_t kFree = std::numeric_limits<uint64_t>::max();  // no pair: ids are never negative

uint64_t pair_of(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

[[noreturn]] void fail(size_t row, const std::string& what) {
  throw PackError("tokenizer.merges row " + std::to_string(row) + ": " + what);
}

void check_row(size_t row, std::span<const int32_t, 3> ids, const Vocabulary& vocabulary) {
  for (const int32_t id : ids)
    if (!vocabulary.contains(id))
      fail(row,
           "id " + std::to_string(id) + " is out of range, there are " + std::to_string(vocabulary.size()) + " tokens");
  const std::string_view left = vocabulary[ids[0]], right = vocabulary[ids[1]], result = vocabulary[ids[2]];
  if (left.empty() || right.empty()) fail(row, "merges an empty token");
  if (result.size() != left.size() + right.size() || !result.starts_with(left) || !result.ends_with(right))
    fail(row, "token " + std::to_string(ids[2]) + " is not token " + std::to_string(ids[0]) + " followed by token " +
                  std::to_string(ids[1]));
}

}  // namespace

MergeTable::MergeTable(std::span<const int32_t> merges, const Vocabulary& vocabulary) {
  if (merges.size() % 3 != 0) throw PackError("tokenizer.merges: rows must have three columns");
  const size_t rows = merges.size() / 3;
  if (rows >= std::numeric_limits<uint32_t>::max()) throw PackError("tokenizer.merges: more rows than ranks");
  slots_.assign(std::bit_ceil(2 * rows + 1), {kFree, 0, 0});
  for (size_t row = 0; row < rows; ++row) {
    const auto ids = merges.subspan(3 * row).first<3>();
    check_row(row, ids, vocabulary);
    const uint64_t pair = pair_of(ids[0], ids[1]);
    Merge& slot = slots_[slot_of(pair)];
    if (slot.pair == pair) fail(row, "the pair of row " + std::to_string(slot.rank) + " again");
    slot = {pair, static_cast<uint32_t>(row), ids[2]};
  }
}

// The slot that holds `pair`, or the free one where it would go. Fibonacci hashing spreads the pairs.
size_t MergeTable::slot_of(uint64_t pair) const {
  const size_t mask = slots_.size() - 1;
  uint64_t hash = (pair ^ (pair >> 29)) * 0x9E3779B97F4A7C15u;
  hash ^= hash >> 32;
  size_t slot = static_cast<size_t>(hash) & mask;
  while (slots_[slot].pair != kFree && slots_[slot].pair != pair) slot = (slot + 1) & mask;
  return slot;
}

const MergeTable::Merge* MergeTable::find(int32_t left, int32_t right) const {
  if (left < 0 || right < 0) return nullptr;
  const Merge& slot = slots_[slot_of(pair_of(left, right))];
  return slot.pair == kFree ? nullptr : &slot;
}

Bpe::Bpe(const std::array<int32_t, 256>& byte_ids, MergeTable merges)
    : byte_ids_(byte_ids), merges_(std::move(merges)) {}

void Bpe::encode(std::string_view word, Workspace& work, std::vector<int32_t>& ids) const {
  load(word, work);
  while (!work.queue.empty()) {
    std::pop_heap(work.queue.begin(), work.queue.end(), std::greater<>());
    const uint64_t entry = work.queue.back();
    work.queue.pop_back();
    const auto left = static_cast<uint32_t>(entry);
    const uint32_t right = work.symbols[left].next;
    if (right == kNone) continue;
    // The symbol, or the one behind it, may have become another since the entry was queued.
    const MergeTable::Merge* found = merges_.find(work.symbols[left].id, work.symbols[right].id);
    if (found != nullptr && found->rank == entry >> 32) merge(work, left, found->result);
  }
  for (const Workspace::Symbol& symbol : work.symbols)
    if (symbol.id >= 0) ids.push_back(symbol.id);
}

// One symbol a byte, and every pair that merges in the queue.
void Bpe::load(std::string_view word, Workspace& work) const {
  work.symbols.clear();
  work.queue.clear();
  for (const char byte : word) {
    const int32_t id = byte_ids_[static_cast<uint8_t>(byte)];
    if (id < 0) continue;
    const auto index = static_cast<uint32_t>(work.symbols.size());
    work.symbols.push_back({id, index - 1, index + 1});  // for the first, 0 - 1 is kNone
  }
  if (work.symbols.empty()) return;
  work.symbols.back().next = kNone;
  for (uint32_t left = 0; left + 1 < work.symbols.size(); ++left) offer(work, left);
}

// Queues the symbol and the one behind it, if they merge.
void Bpe::offer(Workspace& work, uint32_t left) const {
  const uint32_t right = work.symbols[left].next;
  if (right == kNone) return;
  const MergeTable::Merge* found = merges_.find(work.symbols[left].id, work.symbols[right].id);
  if (found == nullptr) return;
  work.queue.push_back(static_cast<uint64_t>(found->rank) << 32 | left);
  std::push_heap(work.queue.begin(), work.queue.end(), std::greater<>());
}

void Bpe::merge(Workspace& work, uint32_t left, int32_t result) const {
  Workspace::Symbol& merged = work.symbols[left];
  Workspace::Symbol& swallowed = work.symbols[merged.next];
  merged.id = result;
  merged.next = swallowed.next;
  swallowed.id = -1;
  if (merged.next != kNone) work.symbols[merged.next].previous = left;
  if (merged.previous != kNone) offer(work, merged.previous);
  offer(work, left);
}

}  // namespace organ
