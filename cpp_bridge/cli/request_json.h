// The wire form of the `organ` command: one JSON object a line.
#pragma once

#include <string>
#include <string_view>

#include "organ/organ.h"

namespace organ::cli {

struct NamedRequest {
  std::string id;  // echoed; empty if the request has none
  Request request;
};

// {"prompt": TEXT, "id": TEXT, "max_new_tokens": N, "raw": BOOL, "draft": [ID, ...]}; only `prompt` is needed.
// Throws Error naming the field at fault.
NamedRequest parse_request(std::string_view line);

// {"id":..., "text":..., "token_ids":[...], "margins":[...], "finish_reason":..., "prompt_tokens":N,
// "accepted_draft_tokens":N}; margins with the digits that give the same float back.
std::string completion_line(const std::string& id, const Completion& completion);

}  // namespace organ::cli
