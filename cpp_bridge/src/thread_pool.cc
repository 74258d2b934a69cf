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
  work_ = &work;
  chunks_ = chunks;
  next_chunk_.store(0, std::memory_order_relaxed);
  // One chunk is not worth waking anybody.
  const bool alone = workers_.empty() || chunks <= 1;
  if (!alone) {
    busy_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
  }
  take_chunks(0);
  if (alone) return;
  for (int busy = busy_.load(std::memory_order_acquire); busy != 0; busy = busy_.load(std::memory_order_acquire))
    wait_until_changed(busy_, busy);
}

void ThreadPool::serve(int worker) {
  const ScopedFpEnvironment environment;
  uint32_t seen = 0;
  while (true) {
    wait_until_changed(round_, seen);
    // The caller waits for every worker before it starts the next round, so no round can be missed.
    seen = round_.load(std::memory_order_acquire);
    if (stop_.load(std::memory_order_relaxed)) return;
    take_chunks(worker);
    if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) busy_.notify_one();
  }
}

void ThreadPool::take_chunks(int worker) {
  for (int chunk = next_chunk_.fetch_add(1, std::memory_order_relaxed); chunk < chunks_;
       chunk = next_chunk_.fetch_add(1, std::memory_order_relaxed))
    (*work_)(chunk, worker);
}

}  // namespace organ
