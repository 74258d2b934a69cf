// What this machine can do at the most, so that every figure of the benchmark is also a share of a limit: fused
// multiply-adds from registers, and reading memory that no cache holds. Where the compiler targets AVX512_BF16, also the
// BF16 dot instruction, which this engine's numerics forbid and others use. Prints one JSON object.
//   machine_limits THREADS
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRounds = 15;
// Ten chains of the widest vector: an FMA takes four cycles and two start in each, so eight would do.
constexpr int kChains = 10;
constexpr int kSteps = 100'000'000;
constexpr size_t kReadBytes = size_t{1} << 30;

typedef float Vector __attribute__((vector_size(VECTOR_BYTES)));

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// The longest of all threads' times counts: the slowest ends a parallel loop.
template <class Work>
double parallel_seconds(int threads, Work work) {
  std::atomic<int> ready{0};
  std::vector<double> seconds(static_cast<size_t>(threads));
  std::vector<std::thread> pool;
  for (int i = 0; i < threads; ++i)
    pool.emplace_back([&, i] {
      ready.fetch_add(1);
      while (ready.load() < threads) {
      }
      const auto start = Clock::now();
      work(i);
      seconds[static_cast<size_t>(i)] = seconds_since(start);
    });
  for (std::thread& thread : pool) thread.join();
  return *std::max_element(seconds.begin(), seconds.end());
}

volatile float sink;

void multiply_add() {
  Vector acc[kChains] = {};
  const Vector a = Vector{} + 0.999999f, b = Vector{} + 1e-7f;
  for (int step = 0; step < kSteps / kChains; ++step) {
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) {
      acc[i] = acc[i] * a + b;  // this file is compiled with contraction, which makes it one FMA
      asm volatile("" : "+v"(acc[i]));
    }
  }
  Vector sum{};
  // Unrolled too: a chain that is addressed by a variable lives in memory, and so do all the others.
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) sum += acc[i];
  sink = sum[0];
}

#ifdef __AVX512BF16__
// Each instruction adds two products to each of 16 floats: twice the work of an FMA of the same width.
void bf16_dot() {
  __m512 acc[kChains] = {};
  __m512bh a = (__m512bh)_mm512_set1_epi16(0x3f80), b = (__m512bh)_mm512_set1_epi16(0x3380);
  for (int step = 0; step < kSteps / kChains; ++step) {
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) {
      acc[i] = _mm512_dpbf16_ps(acc[i], a, b);
      asm volatile("" : "+v"(acc[i]));
    }
  }
  __m512 sum = _mm512_setzero_ps();
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) sum = _mm512_add_ps(sum, acc[i]);
  sink = sum[0];
}
#endif

void read(const uint64_t* data, size_t words) {
  uint64_t sums[8] = {};
  for (size_t i = 0; i + 8 <= words; i += 8)
#pragma GCC unroll 8
    for (size_t j = 0; j < 8; ++j) sums[j] ^= data[i + j];
  uint64_t all = 0;
  for (const uint64_t sum : sums) all ^= sum;
  sink = static_cast<float>(all);
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::max(1, std::atoi(argv[1])) : 1;
  std::vector<uint64_t> memory(kReadBytes / 8, 3);
  double gflops = 0, gigabytes = 0, dot_gflops = 0;
  for (int round = 0; round < kRounds; ++round) {
    const double multiply = parallel_seconds(threads, [](int) { multiply_add(); });
    gflops = std::max(gflops, 2e-9 * threads * kSteps * (VECTOR_BYTES / 4) / multiply);
#ifdef __AVX512BF16__
    const double dot = parallel_seconds(threads, [](int) { bf16_dot(); });
    dot_gflops = std::max(dot_gflops, 4e-9 * threads * kSteps * (VECTOR_BYTES / 4) / dot);
#endif
    const size_t part = memory.size() / static_cast<size_t>(threads);
    const double reading =
        parallel_seconds(threads, [&](int i) { read(memory.data() + part * static_cast<size_t>(i), part); });
    gigabytes = std::max(gigabytes, 1e-9 * kReadBytes / reading);
  }
  std::printf("{\"threads\": %d, \"vector_bytes\": %d, \"fma_gflops\": %.1f, \"bf16_dot_gflops\": %.1f, ", threads,
              VECTOR_BYTES, gflops, dot_gflops);
  std::printf("\"read_gb_per_s\": %.1f}\n", gigabytes);
  return 0;
}
