#include "generate.h"

#include <algorithm>
#include <memory>

#include "code_block.h"
#include "top2.h"

namespace organ {
namespace {

// One prompt on its way to a completion.
class Sequence {
 public:
  Sequence(const Prompt& prompt, const Model& model, const Kernels& kernels, const Tokenizer& tokenizer,
           const std::vector<int32_t>& stop_ids)
      : prompt_(prompt),
        model_(model),
        kernels_(kernels),
        tokenizer_(tokenizer),
        stop_ids_(stop_ids),
        // The last new token is never fed back, so it needs no place in the cache.
        limit_(
            std::min(prompt.max_new_tokens, model.config.max_positions - static_cast<int>(prompt.tokens.size()) + 1)),
        draft_(std::min<size_t>(prompt.draft.size(), static_cast<size_t>(std::max(limit_ - 1, 0)))),
        cache_(std::make_unique<KvCache>(model.config.layers, model.config.kv_heads, model.config.head_dim,
                                         static_cast<int>(prompt.tokens.size()) + limit_)) {
    result_.prompt_tokens = static_cast<int>(prompt.tokens.size());
    if (limit_ <= 0) finish("length");
  }

  bool finished() const { return finished_; }
  int generated() const { return static_cast<int>(result_.token_ids.size()); }
  Completion take() { return std::move(result_); }

  // The whole prompt and its draft. Logits are wanted from the prompt's last row on.
  void append_prefill(std::vector<Row>& rows) const {
    const auto& tokens = prompt_.tokens;
    for (size_t i = 0; i < tokens.size(); ++i)
      rows.push_back({cache_.get(), static_cast<int>(i), tokens[i], i + 1 == tokens.size()});
    for (size_t i = 0; i < draft_; ++i)
      rows.push_back({cache_.get(), static_cast<int>(tokens.size() + i), prompt_.draft[i], true});
  }

  // The token chosen last, at its position. Whatever a rejected draft left in the cache there is written over.
  Row decode_row() const {
    return {cache_.get(), static_cast<int>(prompt_.tokens.size()) + generated() - 1, result_.token_ids.back(), true};
  }

  // During prefill: logits of the prompt's last row, then of each draft row in order. Each draft token is compared
  // with the choice made before it; what stands behind the first mismatch was computed for nothing and is ignored.
  void take_prefill_logits(const float* logits) {
    if (finished_ || draft_rejected_) return;
    take_logits(logits);
    const size_t at = result_.token_ids.size();
    if (finished_ || at > draft_) return;
    draft_rejected_ = prompt_.draft[at - 1] != result_.token_ids.back();
    if (!draft_rejected_) ++result_.accepted_draft_tokens;
  }

  void take_logits(const float* logits) {
    const auto [token, margin] = top2(kernels_, logits, model_.config.vocab_size);
    choose(token, margin);
  }

 private:
  void choose(int32_t token, float margin) {
    if (std::find(stop_ids_.begin(), stop_ids_.end(), token) != stop_ids_.end()) {
      finish("stop");
      return;
    }
    result_.token_ids.push_back(token);
    result_.margins.push_back(margin);
    const std::string_view text = bytes_of(tokenizer_, token);
    result_.text += text;
    if (prompt_.stop_at_code_end && watcher_.feed(text)) {
      finish("code_end");
    } else if (generated() >= limit_) {
      finish("length");
    }
  }

  void finish(const char* reason) {
    finished_ = true;
    result_.finish_reason = reason;
    cache_.reset();
  }

  const Prompt& prompt_;
  const Model& model_;
  const Kernels& kernels_;
  const Tokenizer& tokenizer_;
  const std::vector<int32_t>& stop_ids_;
  int limit_;
  size_t draft_;
  std::unique_ptr<KvCache> cache_;
  CodeBlockWatcher watcher_;
  Completion result_;
  bool finished_ = false;
  bool draft_rejected_ = false;
};

class Batch {
 public:
  Batch(Forward& forward, const std::atomic<bool>& cancelled, const ProgressFn& progress,
        std::vector<Sequence>& sequences)
      : forward_(forward), cancelled_(cancelled), progress_(progress), sequences_(sequences) {}

  void prefill(size_t chunk) {
    std::vector<Row> rows;
    std::vector<Sequence*> owners;
    for (Sequence& sequence : sequences_) {
      if (sequence.finished()) continue;
      sequence.append_prefill(rows);
      owners.resize(rows.size(), &sequence);
    }
    for (size_t at = 0; at < rows.size(); at += chunk) {
      const size_t count = std::min(chunk, rows.size() - at);
      // A sequence that finished inside its draft has given its cache back; its remaining rows are not run.
      std::vector<Row> part;
      std::vector<Sequence*> part_owners;
      for (size_t i = at; i < at + count; ++i) {
        if (owners[i]->finished()) continue;
        part.push_back(rows[i]);
        part_owners.push_back(owners[i]);
      }
      run(part, part_owners, &Sequence::take_prefill_logits);
      prompt_tokens_ += static_cast<int64_t>(part.size());
      report();
    }
  }

  void decode() {
    while (true) {
      std::vector<Row> rows;
      std::vector<Sequence*> owners;
      for (Sequence& sequence : sequences_) {
        if (sequence.finished()) continue;
        rows.push_back(sequence.decode_row());
        owners.push_back(&sequence);
      }
      if (rows.empty()) return;
      run(rows, owners, &Sequence::take_logits);
      report();
    }
  }

 private:
  void run(const std::vector<Row>& rows, const std::vector<Sequence*>& owners, void (Sequence::*take)(const float*)) {
    if (rows.empty()) return;
    forward_.run(rows, cancelled_, [&](size_t row, const float* logits) { (owners[row]->*take)(logits); });
  }

  void report() const {
    if (!progress_) return;
    Progress now{.finished = 0,
                 .total = static_cast<int>(sequences_.size()),
                 .prompt_tokens = prompt_tokens_,
                 .generated_tokens = 0};
    for (const Sequence& sequence : sequences_) {
      now.finished += sequence.finished() ? 1 : 0;
      now.generated_tokens += sequence.generated();
    }
    progress_(now);
  }

  Forward& forward_;
  const std::atomic<bool>& cancelled_;
  const ProgressFn& progress_;
  std::vector<Sequence>& sequences_;
  int64_t prompt_tokens_ = 0;
};

}  // namespace

std::string_view bytes_of(const Tokenizer& tokenizer, int32_t token) {
  return static_cast<size_t>(token) < tokenizer.size() ? tokenizer.token(token) : std::string_view();
}

std::vector<Completion> generate(Forward& forward, const Model& model, const Kernels& kernels,
                                 const Tokenizer& tokenizer, const DecodeSettings& settings,
                                 const std::vector<Prompt>& prompts, const std::atomic<bool>& cancelled,
                                 const ProgressFn& progress) {
  std::vector<Sequence> sequences;
  sequences.reserve(prompts.size());
  for (const Prompt& prompt : prompts) sequences.emplace_back(prompt, model, kernels, tokenizer, settings.stop_ids);
  Batch batch(forward, cancelled, progress, sequences);
  batch.prefill(static_cast<size_t>(settings.prefill_chunk));
  batch.decode();
  std::vector<Completion> results;
  for (Sequence& sequence : sequences) results.push_back(sequence.take());
  return results;
}

}  // namespace organ
