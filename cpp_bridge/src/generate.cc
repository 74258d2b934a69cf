#include "generate.h"

#include <algorithm>
#include <memory>

#include "code_block.h"
#include "score.h"
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
  // Gives the cache back. No row of this sequence is computed any more.
  void release() { cache_.reset(); }

  const std::vector<int32_t>& prompt_tokens() const { return prompt_.tokens; }
  size_t prefill_size() const { return prompt_.tokens.size() + draft_; }

  // Row `i` of the prompt and the draft that follows it. Logits are wanted from the prompt's last row on.
  Row prefill_row(size_t i) const {
    const size_t prompt = prompt_.tokens.size();
    const int32_t token = i < prompt ? prompt_.tokens[i] : prompt_.draft[i - prompt];
    return {cache_.get(), static_cast<int>(i), token, i + 1 >= prompt};
  }

  // Takes over the first `count` positions of a sequence whose prompt begins with the same tokens.
  void copy_prefix(const Sequence& other, size_t count) { cache_->copy_prefix(*other.cache_, static_cast<int>(count)); }

  // The token chosen last, at its position. Whatever a rejected draft left in the cache there is written over.
  Row decode_row() const {
    return {cache_.get(), static_cast<int>(prompt_.tokens.size()) + generated() - 1, result_.token_ids.back(), true};
  }

  // During prefill: logits of the prompt's last row, then of each draft row in order. Each draft token is rated, and
  // compared with the choice made before it; behind the first mismatch, or the end of the answer, it is only rated.
  void take_prefill_logits(const float* logits) {
    const size_t rated = result_.draft_score.margins.size();
    if (rated < prompt_.draft.size())
      append_score(kernels_, logits, model_.config.vocab_size, prompt_.draft[rated], result_.draft_score);
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
    std::vector<Sequence*> active = unfinished();
    const size_t shared = shared_prefix(active);
    if (shared > 0) {
      prefill_rows({active.front()}, 0, shared, chunk);
      for (size_t i = 1; i < active.size(); ++i) active[i]->copy_prefix(*active.front(), shared);
    }
    prefill_rows(active, shared, SIZE_MAX, chunk);
    release_finished();
  }

  void decode() {
    while (true) {
      Work work;
      for (Sequence* sequence : unfinished()) work.add(sequence->decode_row(), sequence);
      if (work.rows.empty()) return;
      run(work, &Sequence::take_logits);
      release_finished();
    }
  }

 private:
  struct Work {
    std::vector<Row> rows;
    std::vector<Sequence*> owners;
    void add(const Row& row, Sequence* owner) {
      rows.push_back(row);
      owners.push_back(owner);
    }
  };

  std::vector<Sequence*> unfinished() const {
    std::vector<Sequence*> all;
    for (Sequence& sequence : sequences_)
      if (!sequence.finished()) all.push_back(&sequence);
    return all;
  }

  void release_finished() {
    for (Sequence& sequence : sequences_)
      if (sequence.finished()) sequence.release();
  }

  // Prompts built from one template begin alike. What they share is computed once; that is legal because a row's bits
  // depend on nothing but the rows before it. Each prompt's last token stays out, since its logits are wanted.
  static size_t shared_prefix(const std::vector<Sequence*>& sequences) {
    if (sequences.size() < 2) return 0;
    const auto& first = sequences.front()->prompt_tokens();
    size_t shared = first.size();
    for (const Sequence* sequence : sequences) {
      const auto& tokens = sequence->prompt_tokens();
      const size_t limit = std::min(shared, tokens.size() - 1);
      shared = static_cast<size_t>(
          std::mismatch(first.begin(), first.begin() + static_cast<ptrdiff_t>(limit), tokens.begin()).first -
          first.begin());
    }
    return shared;
  }

  // Rows [first, last) of each sequence, `chunk` rows of any sequences at a time.
  void prefill_rows(const std::vector<Sequence*>& sequences, size_t first, size_t last, size_t chunk) {
    Work work;
    const auto flush = [&] {
      run(work, &Sequence::take_prefill_logits);
      prompt_tokens_ += static_cast<int64_t>(work.rows.size());
      work = {};
    };
    for (Sequence* sequence : sequences) {
      for (size_t i = first; i < std::min(last, sequence->prefill_size()); ++i) {
        work.add(sequence->prefill_row(i), sequence);
        if (work.rows.size() == chunk) flush();
      }
    }
    if (!work.rows.empty()) flush();
  }

  void run(const Work& work, void (Sequence::*take)(const float*)) {
    forward_.run(work.rows, cancelled_, [&](size_t row, const float* logits) { (work.owners[row]->*take)(logits); });
    report();
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
