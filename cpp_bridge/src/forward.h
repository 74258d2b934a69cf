// The forward pass over a ragged batch: rows of any sequences, side by side, with no padding between them.
#pragma once

#include <atomic>
#include <functional>
#include <span>
#include <vector>

#include "kernels.h"
#include "kv_cache.h"
#include "model.h"
#include "rope.h"
#include "thread_pool.h"

namespace organ {

// One token at one position of one sequence. Rows of a sequence come in ascending position, and every earlier
// position is either in the cache or an earlier row of the same call.
struct Row {
  KvCache* cache;
  int position;
  int32_t token;
  bool wants_logits;
};

// logits: [vocab_size], valid during the call. Rows arrive in the order they were given.
using LogitsSink = std::function<void(size_t row, const float* logits)>;

class Forward {
 public:
  // Keeps references to all three.
  Forward(const Model& model, const Kernels& kernels, ThreadPool& threads);

  // Throws NumericsError if a logit that somebody wants is NaN or infinite, Cancelled when `cancelled` turns true.
  void run(std::span<const Row> rows, const std::atomic<bool>& cancelled, const LogitsSink& sink);

 private:
  struct Buffers;
  using RangeFn = std::function<void(int first, int last)>;

  void resize(std::span<const Row> rows);
  void embed(std::span<const Row> rows);
  void normalise(const float* weight);
  void project_qkv(const Layer& layer);
  void rotate_and_store(int layer, std::span<const Row> rows);
  void attend(int layer, std::span<const Row> rows);
  void add_product(const std::vector<float>& x, const PanelMatrix& w);
  void feed_forward(const Layer& layer);
  void emit_logits(std::span<const Row> rows, const LogitsSink& sink);
  void for_panels(int panels, const RangeFn& work);
  void for_rows(const RangeFn& work);

  const Model& model_;
  const Config& config_;
  const Kernels& kernels_;
  ThreadPool& threads_;
  RopeTable rope_;

  int rows_ = 0;
  std::vector<float> x_;                    // [rows, hidden]: the residual stream
  std::vector<float> normed_;               // [rows, hidden]
  std::vector<float> q_;                    // [rows, q_size]
  std::vector<float> k_, v_;                // [rows, kv_size]
  std::vector<float> attention_;            // [rows, q_size]
  std::vector<float> product_;              // [rows, hidden]
  std::vector<float> gate_, up_;            // [rows, intermediate]
  std::vector<float> logits_;               // [kLogitRows, padded vocab]
  std::vector<std::vector<float>> scores_;  // a worker: [heads of a group, longest length padded to 16]
};

}  // namespace organ
