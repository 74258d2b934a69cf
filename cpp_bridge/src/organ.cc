#include "organ/organ.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <mutex>
#include <thread>

#include "forward.h"
#include "fp_environment.h"
#include "generate.h"
#include "numerics.h"
#include "organ/error.h"
#include "organ/tokenizer.h"
#include "pack.h"
#include "score.h"

namespace organ {
namespace {

constexpr int kMaxThreads = 256;

int usable_processors() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::clamp(CPU_COUNT(&set), 1, kMaxThreads);
#endif
  return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMaxThreads);
}

int thread_count(int asked) {
  if (asked < 0 || asked > kMaxThreads)
    throw Error("threads: " + std::to_string(asked) + " is not within 1 to " + std::to_string(kMaxThreads));
  return asked == 0 ? usable_processors() : asked;
}

std::vector<int32_t> read_stop_ids(const Pack& pack, int vocab_size) {
  const std::string& text = pack.text("planck.stop_ids");
  std::vector<int32_t> ids;
  const char* at = text.data();
  const char* end = at + text.size();
  while (true) {
    int32_t id = 0;
    const auto [next, error] = std::from_chars(at, end, id);
    if (error != std::errc() || id < 0 || id >= vocab_size)
      throw PackError("planck.stop_ids: \"" + text + "\" is not a comma-separated list of token ids");
    ids.push_back(id);
    if (next == end) return ids;
    if (*next != ',') throw PackError("planck.stop_ids: \"" + text + "\" is not a comma-separated list of token ids");
    at = next + 1;
  }
}

Tokenizer read_tokenizer(const Pack& pack, int vocab_size) {
  Tokenizer tokenizer({.token_bytes = pack.u8("tokenizer.token_bytes", {-1}),
                       .token_offsets = pack.i32("tokenizer.token_offsets", {-1}),
                       .merges = pack.i32("tokenizer.merges", {-1, 3}),
                       .added = pack.i32("tokenizer.added", {-1, 2}),
                       .pretokenizer = pack.text("planck.tokenizer.pretokenizer"),
                       .normalizer = pack.text("planck.tokenizer.normalizer")});
  if (tokenizer.size() > static_cast<size_t>(vocab_size))
    throw PackError("tokenizer.token_offsets: " + std::to_string(tokenizer.size()) +
                    " tokens, but planck.vocab_size is " + std::to_string(vocab_size));
  return tokenizer;
}

}  // namespace

struct Organ::State {
  State(Pack loaded, const LoadOptions& options)
      : pack(std::move(loaded)),
        model(Model::from_pack(pack)),
        tokenizer(read_tokenizer(pack, model.config.vocab_size)),
        prefix(pack.text("planck.template.prefix")),
        suffix(pack.text("planck.template.suffix")),
        settings{read_stop_ids(pack, model.config.vocab_size), options.prefill_chunk},
        kernels(select_kernels(options.isa)),
        threads(thread_count(options.threads)),
        forward(model, kernels, threads) {
    if (options.prefill_chunk < 1) throw Error("prefill_chunk: must be at least 1");
    info = {.architecture = model.config.architecture,
            .numerics = kNumericsId,
            .layout = kLayoutId,
            .isa = kernels.isa,
            .identity = pack.text("planck.identity"),
            .threads = threads.size(),
            .parameters = model.parameters,
            .vocab_size = model.config.vocab_size,
            .max_positions = model.config.max_positions};
  }

  void check_ids(std::span<const int32_t> ids, const char* what) const {
    for (size_t i = 0; i < ids.size(); ++i)
      if (ids[i] < 0 || ids[i] >= model.config.vocab_size)
        throw TextError(std::string(what) + "[" + std::to_string(i) + "]: token id " + std::to_string(ids[i]) +
                        " is outside the vocabulary of " + std::to_string(model.config.vocab_size));
  }

  void check_length(size_t tokens, const std::string& what) const {
    if (tokens == 0) throw TextError(what + ": no tokens");
    if (tokens > static_cast<size_t>(model.config.max_positions))
      throw TextError(what + ": " + std::to_string(tokens) + " tokens, this pack takes at most " +
                      std::to_string(model.config.max_positions));
  }

  Prompt prepare(const Request& request, size_t index) const {
    const std::string what = "prompts[" + std::to_string(index) + "]";
    Prompt prompt{.tokens = {},
                  .draft = request.draft,
                  .max_new_tokens = request.max_new_tokens,
                  .stop_at_code_end = !request.raw};
    try {
      prompt.tokens = tokenizer.encode(request.raw ? request.prompt : prefix + request.prompt + suffix);
    } catch (const TextError& error) {
      throw TextError(what + ": " + error.what());
    }
    check_length(prompt.tokens.size(), what);
    check_ids(request.draft, "draft");
    if (request.max_new_tokens < 0) throw TextError(what + ": max_new_tokens is negative");
    return prompt;
  }

  // Runs one sequence from its start, chunk by chunk, and hands over the logits of all rows from `first` on.
  void for_logits(std::span<const int32_t> ids, size_t first, const LogitsSink& sink) {
    KvCache cache(model.config.layers, model.config.kv_heads, model.config.head_dim, static_cast<int>(ids.size()));
    const size_t chunk = static_cast<size_t>(settings.prefill_chunk);
    for (size_t at = 0; at < ids.size(); at += chunk) {
      std::vector<Row> rows;
      for (size_t i = at; i < std::min(ids.size(), at + chunk); ++i)
        rows.push_back({&cache, static_cast<int>(i), ids[i], i >= first});
      forward.run(rows, cancelled, [&](size_t row, const float* logits) { sink(at + row, logits); });
    }
  }

  Pack pack;
  Model model;
  Tokenizer tokenizer;
  std::string prefix, suffix;
  DecodeSettings settings;
  const Kernels& kernels;
  ThreadPool threads;
  Forward forward;
  Info info;
  std::mutex running;
  std::atomic<bool> cancelled{false};
};

namespace {

// Everything that a long call holds: the organ for itself, its floating-point environment, and a fresh cancel flag.
struct RunningCall {
  RunningCall(std::mutex& mutex, std::atomic<bool>& cancelled) : lock(mutex) { cancelled.store(false); }
  std::lock_guard<std::mutex> lock;
  ScopedFpEnvironment environment;
};

}  // namespace

std::unique_ptr<Organ> Organ::load(const std::string& path, const LoadOptions& options) {
  Pack pack = Pack::open(path);
  try {
    return std::unique_ptr<Organ>(new Organ(std::make_unique<State>(std::move(pack), options)));
  } catch (const PackError& error) {
    throw PackError("pack " + path + ": " + error.what());
  }
}

Organ::Organ(std::unique_ptr<State> state) : state_(std::move(state)) {}
Organ::~Organ() = default;

const Info& Organ::info() const { return state_->info; }
std::span<const std::byte> Organ::pack_bytes() const { return state_->pack.bytes(); }
std::vector<int32_t> Organ::tokenize(std::string_view utf8) const { return state_->tokenizer.encode(utf8); }

std::string Organ::detokenize(std::span<const int32_t> ids) const {
  state_->check_ids(ids, "ids");
  std::string text;
  for (const int32_t id : ids) text += bytes_of(state_->tokenizer, id);
  return text;
}

void Organ::cancel() { state_->cancelled.store(true); }

std::vector<Completion> Organ::generate(const std::vector<Request>& requests, const ProgressFn& progress) {
  State& s = *state_;
  const RunningCall call(s.running, s.cancelled);
  std::vector<Prompt> prompts;
  for (size_t i = 0; i < requests.size(); ++i) prompts.push_back(s.prepare(requests[i], i));
  return organ::generate(s.forward, s.model, s.kernels, s.tokenizer, s.settings, prompts, s.cancelled, progress);
}

void Organ::logits(std::span<const int32_t> ids, std::span<float> out) {
  State& s = *state_;
  const RunningCall call(s.running, s.cancelled);
  const size_t vocab = static_cast<size_t>(s.model.config.vocab_size);
  s.check_length(ids.size(), "ids");
  s.check_ids(ids, "ids");
  if (out.size() != ids.size() * vocab) throw Error("logits: the output has the wrong size");
  s.for_logits(ids, 0, [&](size_t row, const float* logits) { std::copy_n(logits, vocab, out.data() + row * vocab); });
}

Score Organ::score(std::span<const int32_t> prompt, std::span<const int32_t> completion) {
  State& s = *state_;
  const RunningCall call(s.running, s.cancelled);
  s.check_length(prompt.size(), "prompt_ids");
  s.check_ids(prompt, "prompt_ids");
  s.check_ids(completion, "completion_ids");
  Score score;
  if (completion.empty()) return score;
  std::vector<int32_t> ids(prompt.begin(), prompt.end());
  ids.insert(ids.end(), completion.begin(), completion.end() - 1);
  s.check_length(ids.size(), "prompt_ids and completion_ids together");
  s.for_logits(ids, prompt.size() - 1, [&](size_t row, const float* logits) {
    append_score(s.kernels, logits, s.model.config.vocab_size, completion[row + 1 - prompt.size()], score);
  });
  return score;
}

}  // namespace organ
