// `organ`: JSONL requests on stdin, JSONL completions on stdout, no Python anywhere.
#include <charconv>
#include <cstdio>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "organ/error.h"
#include "organ/organ.h"
#include "request_json.h"

namespace {

using organ::cli::NamedRequest;

constexpr int kUsageError = 4;  // the project's status for a mistake of the user
constexpr int kRuntimeError = 1;

constexpr const char* kHelp =
    "usage: organ --pack FILE [--threads N] [--isa NAME] [--batch N]\n"
    "\n"
    "Reads one JSON object a line from standard input, e.g.\n"
    "  {\"id\": \"1\", \"prompt\": \"Write ...\", \"max_new_tokens\": 256, \"raw\": false, \"draft\": [1, 2]}\n"
    "and writes one completion a line to standard output, in the same order.\n"
    "\n"
    "  --pack FILE    the .planck pack to load\n"
    "  --threads N    threads to compute with (default: as many as this process may run on)\n"
    "  --isa NAME     auto, scalar, avx2 or avx512 (default: auto); the results are the same\n"
    "  --batch N      answer after every N requests, and at the end of the input (default: 64);\n"
    "                 1 answers each line at once\n";

struct Arguments {
  std::string pack;
  organ::LoadOptions load;
  int batch = 64;
};

// A mistake on the command line or in a request: one line, status 4.
struct UsageError : organ::Error {
  using Error::Error;
};

int positive(const std::string& option, const std::string& text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1)
    throw UsageError(option + ": \"" + text + "\" is not a positive number");
  return value;
}

std::optional<Arguments> parse_arguments(const std::vector<std::string>& words) {
  Arguments arguments;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& option = words[i];
    if (option == "--help" || option == "-h") return std::nullopt;
    if (option != "--pack" && option != "--threads" && option != "--isa" && option != "--batch")
      throw UsageError(option + ": unknown option; see organ --help");
    if (i + 1 == words.size()) throw UsageError(option + ": needs a value");
    const std::string& value = words[++i];
    if (option == "--pack") arguments.pack = value;
    if (option == "--threads") arguments.load.threads = positive(option, value);
    if (option == "--isa") arguments.load.isa = value;
    if (option == "--batch") arguments.batch = positive(option, value);
  }
  if (arguments.pack.empty()) throw UsageError("--pack: missing; see organ --help");
  return arguments;
}

void answer(organ::Organ& organ, std::vector<NamedRequest>& batch) {
  std::vector<organ::Request> requests;
  for (const NamedRequest& named : batch) requests.push_back(named.request);
  const auto completions = organ.generate(requests, {});
  for (size_t i = 0; i < batch.size(); ++i)
    std::cout << organ::cli::completion_line(batch[i].id, completions[i]) << '\n';
  std::cout.flush();
  batch.clear();
}

void serve(organ::Organ& organ, int batch_size) {
  std::vector<NamedRequest> batch;
  std::string line;
  for (long number = 1; std::getline(std::cin, line); ++number) {
    try {
      batch.push_back(organ::cli::parse_request(line));
    } catch (const organ::Error& error) {
      throw UsageError("standard input, line " + std::to_string(number) + ": " + error.what());
    }
    if (static_cast<int>(batch.size()) == batch_size) answer(organ, batch);
  }
  if (!batch.empty()) answer(organ, batch);
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  try {
    const auto arguments = parse_arguments({argv + 1, argv + argc});
    if (!arguments) {
      std::fputs(kHelp, stdout);
      return 0;
    }
    const auto organ = organ::Organ::load(arguments->pack, arguments->load);
    serve(*organ, arguments->batch);
    if (!std::cout) throw organ::Error("standard output: cannot be written");
    return 0;
  } catch (const UsageError& error) {
    std::fprintf(stderr, "organ: %s\n", error.what());
    return kUsageError;
  } catch (const organ::PackError& error) {
    std::fprintf(stderr, "organ: %s\n", error.what());
    return kUsageError;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "organ: %s\n", error.what());
    return kRuntimeError;
  }
}
