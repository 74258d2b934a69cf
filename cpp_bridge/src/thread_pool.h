// A fixed set of threads that share the chunks of one loop at a time.
#pragma once

#include <atomic>
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
  // one, so a thread that the kernel took off its core does not hold up the rest. `work` must not throw. One loop
  // at a time.
  void run(int chunks, const std::function<void(int chunk, int worker)>& work);

 private:
  void serve(int worker);
  void take_chunks(int worker);

  std::vector<std::thread> workers_;
  const std::function<void(int, int)>* work_ = nullptr;
  int chunks_ = 0;
  std::atomic<int> next_chunk_{0};
  std::atomic<int> busy_{0};        // workers still inside the current loop
  std::atomic<uint32_t> round_{0};  // grows by one a loop; workers wait on it
  std::atomic<bool> stop_{false};
};

}  // namespace organ
