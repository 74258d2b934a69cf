#include "request_json.h"

#include <charconv>
#include <limits>

#include "json.h"
#include "organ/error.h"

namespace organ::cli {
namespace {

[[noreturn]] void fail(const std::string& field, const std::string& what) { throw Error(field + ": " + what); }

const std::string& text_of(const std::string& field, const Json& value) {
  if (!value.string()) fail(field, "not a string");
  return *value.string();
}

int32_t integer_of(const std::string& field, const Json& value) {
  const int64_t* number = value.integer();
  if (!number || *number < 0 || *number > std::numeric_limits<int32_t>::max()) fail(field, "not a 31-bit integer");
  return static_cast<int32_t>(*number);
}

bool flag_of(const std::string& field, const Json& value) {
  if (!value.boolean()) fail(field, "neither true nor false");
  return *value.boolean();
}

std::vector<int32_t> ids_of(const std::string& field, const Json& value) {
  if (!value.array()) fail(field, "not an array of token ids");
  std::vector<int32_t> ids;
  for (const Json& id : *value.array()) ids.push_back(integer_of(field, id));
  return ids;
}

template <class T>
std::string number_list(const std::vector<T>& numbers) {
  std::string out = "[";
  for (const T number : numbers) {
    char digits[32];
    const auto [end, error] = std::to_chars(digits, digits + sizeof digits, number);
    out.append(out.size() > 1 ? "," : "").append(digits, end);
  }
  return out + "]";
}

}  // namespace

NamedRequest parse_request(std::string_view line) {
  const Json json = Json::parse(line);
  if (!json.object()) throw Error("not a JSON object");
  NamedRequest out;
  bool has_prompt = false;
  for (const auto& [field, value] : *json.object()) {
    if (field == "prompt") {
      out.request.prompt = text_of(field, value);
      has_prompt = true;
    } else if (field == "id") {
      out.id = text_of(field, value);
    } else if (field == "max_new_tokens") {
      out.request.max_new_tokens = integer_of(field, value);
    } else if (field == "raw") {
      out.request.raw = flag_of(field, value);
    } else if (field == "draft") {
      out.request.draft = ids_of(field, value);
    } else {
      fail(field, "unknown; a request has prompt, id, max_new_tokens, raw and draft");
    }
  }
  if (!has_prompt) fail("prompt", "missing");
  return out;
}

std::string completion_line(const std::string& id, const Completion& completion) {
  std::string out = "{";
  if (!id.empty()) out += "\"id\":" + json_string(id) + ",";
  out += "\"text\":" + json_string(completion.text);
  out += ",\"token_ids\":" + number_list(completion.token_ids);
  out += ",\"margins\":" + number_list(completion.margins);
  out += ",\"finish_reason\":\"" + completion.finish_reason + "\"";
  out += ",\"prompt_tokens\":" + std::to_string(completion.prompt_tokens);
  return out + ",\"accepted_draft_tokens\":" + std::to_string(completion.accepted_draft_tokens) + "}";
}

}  // namespace organ::cli
