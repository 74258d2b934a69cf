#include "thread_pool.h"

#include "fp_environment.h"

namespace organ {
namespace {

// About 20 microseconds of looking before a thread sleeps: a layer's loops follow each other within that, and on a
// shared machine a longer spin takes the core from the one who has the work.
constexpr int kSpins = 1000;

inline void pause() {
#if defined(__SSE__)
  _mm_pause();
#endif
}

template <class T>
void wait_until_changed(const std::atomic<T>& value, T old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  for (int worker = 1; worker < threads; ++worker) workers_.emplace_back([this, worker] { serve(worker); });
}

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  for (std::thread& thread : workers_) thread.join();
}

void ThreadPool::run(int chunks, const std::function<void(int, int)>& work) {
  // One chunk is not worth waking anybody.
  if (workers_.empty() || chunks <= 1) {
    for (int chunk = 0; chunk < chunks; ++chunk) work(chunk, 0);
    return;
  }
  work_ = &work;
  done_.store(0, std::memory_order_relaxed);
  ticket_.store(static_cast<uint64_t>(chunks) << 32, std::memory_order_release);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  take_chunks(0);
  for (int done = done_.load(std::memory_order_acquire); done != chunks; done = done_.load(std::memory_order_acquire))
    wait_until_changed(done_, done);
}

void ThreadPool::serve(int worker) {
  const ScopedFpEnvironment environment;
  while (!stop_.load(std::memory_order_relaxed)) {
    // Read before looking for chunks: a loop published in between ends the wait at once.
    const uint32_t seen = round_.load(std::memory_order_acquire);
    take_chunks(worker);
    if (!stop_.load(std::memory_order_relaxed)) wait_until_changed(round_, seen);
  }
}

void ThreadPool::take_chunks(int worker) {
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  while (static_cast<uint32_t>(ticket) < ticket >> 32) {
    if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel, std::memory_order_acquire))
      continue;
    const int chunk = static_cast<int>(static_cast<uint32_t>(ticket));
    const int chunks = static_cast<int>(ticket >> 32);
    (*work_)(chunk, worker);
    if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == chunks) done_.notify_one();
    ticket = ticket_.load(std::memory_order_acquire);
  }
}

}  // namespace organ
