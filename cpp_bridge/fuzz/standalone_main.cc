// Drives a LLVMFuzzerTestOneInput where libFuzzer is missing (GCC): random bytes and mutations of what it made so
// far, without coverage feedback. It takes libFuzzer's two options that CI uses, so one command line serves both.
// NAME [-runs=N] [-max_len=N] [FILE...]
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Bytes = std::vector<uint8_t>;

void mutate(Bytes& bytes, size_t max_len, std::mt19937_64& random) {
  const int edits = 1 + static_cast<int>(random() % 8);
  for (int i = 0; i < edits; ++i) {
    const size_t at = bytes.empty() ? 0 : random() % bytes.size();
    switch (random() % 4) {
      case 0:
        if (bytes.size() < max_len) bytes.insert(bytes.begin() + static_cast<long>(at), static_cast<uint8_t>(random()));
        break;
      case 1:
        if (!bytes.empty()) bytes.erase(bytes.begin() + static_cast<long>(at));
        break;
      case 2:
        if (!bytes.empty()) bytes[at] = static_cast<uint8_t>(random());
        break;
      default:
        if (!bytes.empty()) bytes[at] ^= static_cast<uint8_t>(1u << (random() % 8));
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  long runs = 10000;
  size_t max_len = 4096;
  std::vector<Bytes> corpus{{}};
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg.rfind("-runs=", 0) == 0) {
      runs = std::atol(arg.c_str() + 6);
    } else if (arg.rfind("-max_len=", 0) == 0) {
      max_len = std::strtoul(arg.c_str() + 9, nullptr, 10);
    } else if (arg.rfind("-", 0) != 0) {
      std::ifstream in(arg, std::ios::binary);
      corpus.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    }
  }
  for (const Bytes& bytes : corpus) LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  std::mt19937_64 random(20260501);
  for (long i = 0; i < runs; ++i) {
    Bytes bytes = corpus[random() % corpus.size()];
    mutate(bytes, max_len, random);
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    if (corpus.size() < 4096) corpus.push_back(std::move(bytes));
  }
  std::printf("%ld runs, no failure\n", runs);
  return 0;
}
