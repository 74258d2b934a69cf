#include "thread_pool.h"

#include <array>

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

}  // namespace
}  // namespace organ

TEST_MAIN()
