// One pack, loaded and ready to answer. The public face of the runtime.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace organ {

struct LoadOptions {
  int threads = 0;           // 0: as many as this process may run on
  std::string isa = "auto";  // "auto", "scalar", "avx2", "avx512"; the bits are the same
  int prefill_chunk = 256;   // rows of one prefill pass: memory against overhead; the bits are the same
};

struct Info {
  std::string architecture, numerics, layout, isa, identity;
  int threads;
  int64_t parameters;
  int vocab_size;
  int max_positions;
};

struct Request {
  std::string prompt;          // UTF-8
  std::vector<int32_t> draft;  // what the completion may begin with; only ever a matter of speed
  int max_new_tokens = 256;
  // false: the pack's template goes around the prompt, and generation also stops at the end of the answer's code
  // block. true: the prompt is taken as it is, and only stop ids and the limit end the completion.
  bool raw = false;
};

struct Score {
  std::vector<double> log_probabilities;  // natural logarithm
  std::vector<float> margins;             // logit of the token minus the largest logit of another token
};

struct Completion {
  std::string text;  // bytes of token_ids; may end inside a UTF-8 sequence
  std::vector<int32_t> token_ids;
  std::vector<float> margins;  // a token: its logit minus the second largest
  std::string finish_reason;   // "stop", "length" or "code_end"
  int accepted_draft_tokens = 0;
  int prompt_tokens = 0;
  // How the organ rates the draft's tokens, those after its first own choice included: what `score` would say of the
  // draft, for free, since they were computed to check it. Shorter than the draft if that reaches the limit.
  Score draft_score;
};

struct Progress {
  int finished, total;  // sequences
  int64_t prompt_tokens, generated_tokens;
};

// Called after every forward pass, on the thread that called. May throw: the call then ends with that exception.
using ProgressFn = std::function<void(const Progress&)>;

// Calls from several threads are safe and run one after the other. Every error is an organ::Error (error.h).
class Organ {
 public:
  static std::unique_ptr<Organ> load(const std::string& path, const LoadOptions& options);
  ~Organ();

  const Info& info() const;
  // The mapped file, byte for byte: what a digest of the loaded pack must be taken of.
  std::span<const std::byte> pack_bytes() const;

  std::vector<int32_t> tokenize(std::string_view utf8) const;
  std::string detokenize(std::span<const int32_t> ids) const;

  std::vector<Completion> generate(const std::vector<Request>& requests, const ProgressFn& progress);
  // Writes [ids.size(), vocab_size] logits.
  void logits(std::span<const int32_t> ids, std::span<float> out);
  // Teacher forcing: how the pack rates each token of `completion` after `prompt` and what precedes it.
  Score score(std::span<const int32_t> prompt, std::span<const int32_t> completion);

  // Ends the call that is running, if any, with Cancelled. Safe from any thread.
  void cancel();

 private:
  struct State;
  explicit Organ(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace organ
