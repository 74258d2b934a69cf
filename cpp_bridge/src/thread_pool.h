// A fixed set of threads that share the chunks of one loop at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace organ {

class ThreadPool {
 public:
  // `threads` counts the caller, so 1 starts none.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls work(chunk, worker) once for each chunk in [0, chunks), worker in [0, size()). Chunks are taken one by
  // one, and the caller waits for chunks, not for workers: one that the kernel has not woken yet, or took off its
  // core between two chunks, holds up nobody. `work` must not throw. One loop at a time; chunks < 2^31.
  void run(int chunks, const std::function<void(int chunk, int worker)>& work);

 private:
  void serve(int worker);
  void take_chunks(int worker);

  std::vector<std::thread> workers_;
  // Written before a loop is published. Whoever holds a chunk may read it: the loop cannot end before that chunk.
  const std::function<void(int, int)>* work_ = nullptr;
  // The current loop: how many chunks it has (upper half) and the next one to take (lower half). One value, so that a
  // late worker can never take a chunk by the count of one loop and the number of another.
  std::atomic<uint64_t> ticket_{0};
  std::atomic<int> done_{0};        // chunks finished of the current loop
  std::atomic<uint32_t> round_{0};  // grows by one a loop; idle workers wait on it
  std::atomic<bool> stop_{false};
};

}  // namespace organ
