#include "forward.h"

#include <algorithm>
#include <cmath>

#include "numerics.h"
#include "organ/error.h"

namespace organ {
namespace {

// Panels of a unit of work for one thread. 4 panels are 64 columns, 115 KB of weights at K = 896: panels and activations
// of a row block share a 512 KB L2. One row takes 8 panels at once. Even, because a tile takes 2 panels or more.
constexpr int kChunkSizes[] = {4, 6, 8};
constexpr int kChunkSizesOneRow[] = {8, 10, 12};
// Rows whose logits are computed together: 32 rows of 151,936 logits are 19 MB.
constexpr int kLogitRows = 32;
// Elementwise work is handed out in even groups of at most this many rows; less is not worth waking a thread.
constexpr int kRowsPerChunk = 16;

ConstRows const_rows(const std::vector<float>& buffer, int64_t stride) { return {buffer.data(), stride}; }
Rows rows_of(std::vector<float>& buffer, int64_t stride) { return {buffer.data(), stride}; }

int ceil_div(int a, int b) { return (a + b - 1) / b; }

// The size that leaves the least to the busiest thread, the smallest of equals: 56 panels over two threads in chunks of
// 8 are 32 and 24 of them, in chunks of 10 they are 30 and 26, in chunks of 4 they are 28 and 28.
int balanced_chunk(std::span<const int> sizes, int panels, int threads) {
  const auto busiest = [&](int size) { return ceil_div(ceil_div(panels, size), threads) * size; };
  return *std::min_element(sizes.begin(), sizes.end(), [&](int a, int b) { return busiest(a) < busiest(b); });
}

}  // namespace

Forward::Forward(const Model& model, const Kernels& kernels, ThreadPool& threads)
    : model_(model),
      config_(model.config),
      kernels_(kernels),
      threads_(threads),
      rope_(model.config.rope_theta, model.config.head_dim),
      scores_(static_cast<size_t>(threads.size())) {}

void Forward::run(std::span<const Row> rows, const std::atomic<bool>& cancelled, const LogitsSink& sink) {
  resize(rows);
  embed(rows);
  for (int i = 0; i < config_.layers; ++i) {
    if (cancelled.load(std::memory_order_relaxed)) throw Cancelled("the call was cancelled");
    const Layer& layer = model_.layers[static_cast<size_t>(i)];
    normalise(layer.input_norm);
    project_qkv(layer);
    rotate_and_store(i, rows);
    attend(i, rows);
    add_product(attention_, layer.o);
    normalise(layer.post_norm);
    feed_forward(layer);
    add_product(gate_, layer.down);
  }
  emit_logits(rows, sink);
}

void Forward::resize(std::span<const Row> rows) {
  rows_ = static_cast<int>(rows.size());
  const auto grow = [&](std::vector<float>& buffer, int width) {
    const size_t need = rows.size() * static_cast<size_t>(width);
    if (buffer.size() < need) buffer.resize(need);
  };
  for (auto* buffer : {&x_, &normed_, &product_}) grow(*buffer, config_.hidden_size);
  for (auto* buffer : {&q_, &attention_}) grow(*buffer, config_.q_size());
  for (auto* buffer : {&k_, &v_}) grow(*buffer, config_.kv_size());
  for (auto* buffer : {&gate_, &up_}) grow(*buffer, config_.intermediate_size);

  int longest = 0;
  for (const Row& row : rows) longest = std::max(longest, row.position + 1);
  rope_.extend(longest);
  const size_t need =
      static_cast<size_t>(config_.heads / config_.kv_heads) * static_cast<size_t>(ceil_div(longest, kLanes) * kLanes);
  for (auto& scratch : scores_)
    if (scratch.size() < need) scratch.resize(need);
}

void Forward::embed(std::span<const Row> rows) {
  for (size_t m = 0; m < rows.size(); ++m)
    model_.embed(rows[m].token, x_.data() + m * static_cast<size_t>(config_.hidden_size));
}

void Forward::normalise(const float* weight) {
  const ConstRows x = const_rows(x_, config_.hidden_size);
  const Rows y = rows_of(normed_, config_.hidden_size);
  for_rows([&](int first, int last) {
    for (int m = first; m < last; ++m)
      kernels_.rms_norm(x.row(m), weight, config_.hidden_size, config_.rms_norm_eps, y.row(m));
  });
}

// 19 rows over two threads are 10 and 9 of them, not 16 and 3.
void Forward::for_rows(const RangeFn& work) {
  int chunks = ceil_div(rows_, kRowsPerChunk);
  if (chunks > 1) chunks = ceil_div(chunks, threads_.size()) * threads_.size();
  threads_.run(chunks, [&](int chunk, int) { work(rows_ * chunk / chunks, rows_ * (chunk + 1) / chunks); });
}

void Forward::for_panels(int panels, const RangeFn& work) {
  const std::span<const int> sizes = rows_ == 1 ? std::span(kChunkSizesOneRow) : std::span(kChunkSizes);
  const int size = balanced_chunk(sizes, panels, threads_.size());
  threads_.run(ceil_div(panels, size),
               [&](int chunk, int) { work(chunk * size, std::min(panels, (chunk + 1) * size)); });
}

// q, k and v share their input, so they are one loop: [normed] -> [q_size | kv_size | kv_size].
void Forward::project_qkv(const Layer& layer) {
  struct Part {
    const PanelMatrix& w;
    const float* bias;
    Rows y;
  };
  const Part parts[] = {{layer.q, layer.q_bias, rows_of(q_, config_.q_size())},
                        {layer.k, layer.k_bias, rows_of(k_, config_.kv_size())},
                        {layer.v, layer.v_bias, rows_of(v_, config_.kv_size())}};
  const ConstRows x = const_rows(normed_, config_.hidden_size);
  for_panels(layer.q.panels + layer.k.panels + layer.v.panels, [&](int first, int last) {
    int offset = 0;
    for (const Part& part : parts) {
      const int from = std::max(first - offset, 0), to = std::min(last - offset, part.w.panels);
      offset += part.w.panels;
      if (from >= to) continue;
      const Rows y{part.y.data + from * kLanes, part.y.stride};
      kernels_.gemm(x, rows_, part.w.data, part.w.k, from, to, y);
      if (part.bias == nullptr) continue;
      for (int m = 0; m < rows_; ++m) kernels_.add(y.row(m), part.bias + from * kLanes, (to - from) * kLanes);
    }
  });
}

void Forward::rotate_and_store(int layer, std::span<const Row> rows) {
  const int dim = config_.head_dim;
  for_rows([&](int first, int last) {
    for (int m = first; m < last; ++m) {
      const Row& row = rows[static_cast<size_t>(m)];
      float* q = rows_of(q_, config_.q_size()).row(m);
      float* k = rows_of(k_, config_.kv_size()).row(m);
      const float* v = const_rows(v_, config_.kv_size()).row(m);
      for (int h = 0; h < config_.heads; ++h) rope_.rotate(q + h * dim, row.position);
      for (int h = 0; h < config_.kv_heads; ++h) {
        rope_.rotate(k + h * dim, row.position);
        row.cache->store(layer, h, row.position, k + h * dim, v + h * dim);
      }
    }
  });
}

// A unit of work is one row against one KV head, with the query heads that share it: never a part of the keys.
void Forward::attend(int layer, std::span<const Row> rows) {
  const int group = config_.heads / config_.kv_heads;
  const float scale = 1.0f / std::sqrt(static_cast<float>(config_.head_dim));
  threads_.run(rows_ * config_.kv_heads, [&](int chunk, int worker) {
    const int m = chunk / config_.kv_heads, kv_head = chunk % config_.kv_heads;
    const Row& row = rows[static_cast<size_t>(m)];
    const int64_t offset = static_cast<int64_t>(m) * config_.q_size() + kv_head * group * config_.head_dim;
    kernels_.attend({.q = q_.data() + offset,
                     .keys = row.cache->keys(layer, kv_head),
                     .values = row.cache->values(layer, kv_head),
                     .scores = scores_[static_cast<size_t>(worker)].data(),
                     .out = attention_.data() + offset,
                     .heads = group,
                     .head_dim = config_.head_dim,
                     .length = row.position + 1,
                     .scale = scale});
  });
}

// x += input . w, where w is [hidden, k].
void Forward::add_product(const std::vector<float>& input, const PanelMatrix& w) {
  const ConstRows in = const_rows(input, w.k);
  const Rows product = rows_of(product_, config_.hidden_size);
  const Rows x = rows_of(x_, config_.hidden_size);
  for_panels(w.panels, [&](int first, int last) {
    const int column = first * kLanes;
    kernels_.gemm(in, rows_, w.data, w.k, first, last, {product.data + column, product.stride});
    for (int m = 0; m < rows_; ++m) kernels_.add(x.row(m) + column, product.row(m) + column, (last - first) * kLanes);
  });
}

// gate = silu(normed . w_gate) * (normed . w_up), column chunk by column chunk.
void Forward::feed_forward(const Layer& layer) {
  const ConstRows x = const_rows(normed_, config_.hidden_size);
  const Rows gate = rows_of(gate_, config_.intermediate_size);
  const Rows up = rows_of(up_, config_.intermediate_size);
  for_panels(layer.gate.panels, [&](int first, int last) {
    const int column = first * kLanes;
    kernels_.gemm(x, rows_, layer.gate.data, layer.gate.k, first, last, {gate.data + column, gate.stride});
    kernels_.gemm(x, rows_, layer.up.data, layer.up.k, first, last, {up.data + column, up.stride});
    for (int m = 0; m < rows_; ++m) kernels_.swiglu(gate.row(m) + column, up.row(m) + column, (last - first) * kLanes);
  });
}

void Forward::emit_logits(std::span<const Row> rows, const LogitsSink& sink) {
  std::vector<size_t> wanted;
  for (size_t m = 0; m < rows.size(); ++m)
    if (rows[m].wants_logits) wanted.push_back(m);
  const int hidden = config_.hidden_size;
  const int64_t vocab = config_.padded_vocab();
  const size_t block = std::min<size_t>(wanted.size(), kLogitRows);
  if (logits_.size() < block * static_cast<size_t>(vocab)) logits_.resize(block * static_cast<size_t>(vocab));
  for (size_t at = 0; at < wanted.size(); at += kLogitRows) {
    rows_ = static_cast<int>(std::min<size_t>(kLogitRows, wanted.size() - at));
    for (int i = 0; i < rows_; ++i)
      kernels_.rms_norm(const_rows(x_, hidden).row(static_cast<int64_t>(wanted[at + static_cast<size_t>(i)])),
                        model_.final_norm, hidden, config_.rms_norm_eps, rows_of(normed_, hidden).row(i));
    for_panels(model_.output.panels, [&](int first, int last) {
      kernels_.gemm(const_rows(normed_, hidden), rows_, model_.output.data, hidden, first, last,
                    {logits_.data() + first * kLanes, vocab});
    });
    // Bytes, not bits: two threads write at the same time.
    std::vector<uint8_t> finite(static_cast<size_t>(rows_));
    threads_.run(rows_, [&](int i, int) {
      finite[static_cast<size_t>(i)] = kernels_.all_finite(rows_of(logits_, vocab).row(i), config_.vocab_size);
    });
    for (int i = 0; i < rows_; ++i) {
      const float* logits = rows_of(logits_, vocab).row(i);
      if (finite[static_cast<size_t>(i)] == 0)
        throw NumericsError("a logit is NaN or infinite at position " +
                            std::to_string(rows[wanted[at + static_cast<size_t>(i)]].position) +
                            ": the weights of this pack are broken");
      sink(wanted[at + static_cast<size_t>(i)], logits);
    }
  }
}

}  // namespace organ
