// Cuts a text into the words that byte-level BPE never merges across. Each function appends consecutive
// pieces that cover the whole of `text`, which must be valid UTF-8; they agree with Hugging Face's pipelines
// character for character.
#pragma once

#include <string_view>
#include <vector>

namespace organ {

using Pieces = std::vector<std::string_view>;

// Split(Regex, isolated) of Qwen2 and Qwen2.5.
void pretokenize_qwen2(std::string_view text, Pieces& pieces);

// Digits(individual_digits) and then GPT-2's regex on what stands between the digits, of SmolLM and SmolLM2.
void pretokenize_smollm(std::string_view text, Pieces& pieces);

}  // namespace organ
