// Greedy decoding of a ragged batch, with optional drafts.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "forward.h"
#include "organ/organ.h"
#include "organ/tokenizer.h"

namespace organ {

struct Prompt {
  std::vector<int32_t> tokens;  // not empty
  std::vector<int32_t> draft;   // tokens that the completion may begin with; checked, never trusted
  int max_new_tokens;
  bool stop_at_code_end;
};

struct DecodeSettings {
  std::vector<int32_t> stop_ids;
  int prefill_chunk;  // rows of one forward pass during prefill
};

// The bytes of a token. Models pad their vocabulary (Qwen2.5 has 151,936 logits for 151,665 tokens): an id of the
// padding is a legal choice of a broken model, and has no bytes.
std::string_view bytes_of(const Tokenizer& tokenizer, int32_t token);

// Decodes all prompts; the results are in their order, and none of them depends on the others (numerics.h).
std::vector<Completion> generate(Forward& forward, const Model& model, const Kernels& kernels,
                                 const Tokenizer& tokenizer, const DecodeSettings& settings,
                                 const std::vector<Prompt>& prompts, const std::atomic<bool>& cancelled,
                                 const ProgressFn& progress);

}  // namespace organ
