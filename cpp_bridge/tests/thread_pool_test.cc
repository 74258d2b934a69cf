#include "thread_pool.h"

#include <array>
#include <atomic>

#include "check.h"

namespace organ {
namespace {

TEST(every_chunk_runs_once_in_every_round) {
  for (int threads = 1; threads <= 4; ++threads) {
    ThreadPool pool(threads);
    CHECK_EQ(pool.size(), threads);
    for (int round = 0; round < 300; ++round) {
      std::array<std::atomic<int>, 37> runs{};
      const int chunks = round % 38;
      pool.run(chunks, [&](int chunk, int worker) {
        CHECK(worker >= 0 && worker < threads);
        runs[static_cast<size_t>(chunk)].fetch_add(1);
      });
      for (int chunk = 0; chunk < 37; ++chunk)
        CHECK_EQ(runs[static_cast<size_t>(chunk)].load(), chunk < chunks ? 1 : 0);
    }
  }
}

// More threads than cores, and loops shorter than it takes to wake anybody: most workers come late, to a loop that is
// over or to another than the one that woke them. They must neither hold up a loop nor take a chunk that is not theirs.
TEST(late_workers_take_part_in_no_loop_that_is_over) {
  ThreadPool pool(16);
  for (int round = 0; round < 20000; ++round) {
    const int chunks = 2 + round % 5;
    std::atomic<int> sum{0};
    pool.run(chunks, [&](int chunk, int) { sum.fetch_add(chunk + 1); });
    CHECK_EQ(sum.load(), chunks * (chunks + 1) / 2);
  }
}

}  // namespace
}  // namespace organ

TEST_MAIN()
