// What a pack says about its model: hyperparameters and views of the weights, checked once at load.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "pack.h"

namespace organ {

struct Config {
  std::string architecture;  // "llama" or "qwen2"
  int hidden_size;
  int intermediate_size;
  int layers;
  int heads;
  int kv_heads;
  int head_dim;
  int vocab_size;
  int max_positions;
  double rope_theta;
  float rms_norm_eps;
  bool tied_output;
  bool attention_bias;

  int q_size() const { return heads * head_dim; }
  int kv_size() const { return kv_heads * head_dim; }
  int padded_vocab() const { return (vocab_size + 15) / 16 * 16; }

  static Config from_pack(const Pack& pack);
};

// A weight [n, k] in panels [ceil(n / 16), k / 2, 16, 2] of BF16, in the mapped file.
struct PanelMatrix {
  const uint16_t* data;
  int panels;
  int k;
};

struct Layer {
  const float* input_norm;  // [hidden]
  PanelMatrix q, k, v;      // [q_size | kv_size, hidden]
  const float* q_bias;      // [q_size] or null
  const float* k_bias;      // [kv_size] or null
  const float* v_bias;      // [kv_size] or null
  PanelMatrix o;            // [hidden, q_size]
  const float* post_norm;   // [hidden]
  PanelMatrix gate, up;     // [intermediate, hidden]
  PanelMatrix down;         // [hidden, intermediate]
};

struct Model {
  Config config;
  PanelMatrix embedding;    // [vocab, hidden]
  PanelMatrix output;       // [vocab, hidden]; the embedding itself where the pack ties them
  const float* final_norm;  // [hidden]
  std::vector<Layer> layers;
  int64_t parameters;  // logical elements of all weights, a tied embedding counted once

  static Model from_pack(const Pack& pack);

  // Row `token` of the embedding, widened: hidden_size floats.
  void embed(int32_t token, float* out) const;
};

}  // namespace organ
