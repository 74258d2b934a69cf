#include "model.h"

#include <bit>

#include "kernels.h"
#include "numerics.h"
#include "organ/error.h"

namespace organ {
namespace {

// Bounds that no real model of this class reaches; below them, no product of two sizes overflows 64 bits.
constexpr int64_t kMaxSize = 1 << 20;
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxVocab = 1 << 22;

void require(bool holds, const std::string& message) {
  if (!holds) throw PackError(message);
}

void require_multiple_of_16(int64_t value, const std::string& name) {
  require(value % 16 == 0, name + ": " + std::to_string(value) + " is not a multiple of 16, which the kernels need");
}

class WeightReader {
 public:
  WeightReader(const Pack& pack, int64_t& parameters) : pack_(pack), parameters_(parameters) {}

  PanelMatrix matrix(const std::string& name, int64_t n, int64_t k) {
    const int64_t panels = (n + kLanes - 1) / kLanes;
    parameters_ += n * k;
    return {pack_.bf16(name, {panels, k / 2, kLanes, 2}).data(), static_cast<int>(panels), static_cast<int>(k)};
  }

  const float* vector(const std::string& name, int64_t n) {
    parameters_ += n;
    return pack_.f32(name, {n}).data();
  }

 private:
  const Pack& pack_;
  int64_t& parameters_;
};

}  // namespace

Config Config::from_pack(const Pack& pack) {
  require(pack.text("planck.version") == "1",
          "planck.version: this runtime reads version 1, the pack is version " + pack.text("planck.version"));
  require(pack.text("planck.layout") == kLayoutId,
          "planck.layout: this runtime reads " + std::string(kLayoutId) + ", not " + pack.text("planck.layout"));
  require(
      pack.text("planck.numerics") == kNumericsId,
      "planck.numerics: this runtime computes " + std::string(kNumericsId) + ", not " + pack.text("planck.numerics"));
  const auto size = [&](const char* key, int64_t high) { return static_cast<int>(pack.integer(key, 1, high)); };
  Config c;
  c.architecture = pack.text("planck.architecture");
  require(c.architecture == "llama" || c.architecture == "qwen2",
          "planck.architecture: " + c.architecture + " is neither llama nor qwen2");
  c.hidden_size = size("planck.hidden_size", kMaxSize);
  c.intermediate_size = size("planck.intermediate_size", kMaxSize);
  c.layers = size("planck.num_hidden_layers", kMaxLayers);
  c.heads = size("planck.num_attention_heads", 4096);
  c.kv_heads = size("planck.num_key_value_heads", 4096);
  c.head_dim = size("planck.head_dim", 4096);
  c.vocab_size = size("planck.vocab_size", kMaxVocab);
  c.max_positions = size("planck.max_position_embeddings", 1 << 20);
  c.rope_theta = pack.number("planck.rope_theta", 1.0, 1e12);
  c.rms_norm_eps = static_cast<float>(pack.number("planck.rms_norm_eps", 0.0, 1.0));
  c.tied_output = pack.flag("planck.tie_word_embeddings");
  c.attention_bias = pack.flag("planck.attention_bias");

  require(c.heads % c.kv_heads == 0, "planck.num_attention_heads: " + std::to_string(c.heads) +
                                         " is not a multiple of planck.num_key_value_heads " +
                                         std::to_string(c.kv_heads));
  require(c.heads / c.kv_heads <= kMaxHeadsPerGroup,
          "planck.num_attention_heads: more than " + std::to_string(kMaxHeadsPerGroup) + " query heads a KV head");
  require_multiple_of_16(c.hidden_size, "planck.hidden_size");
  require_multiple_of_16(c.intermediate_size, "planck.intermediate_size");
  require_multiple_of_16(c.head_dim, "planck.head_dim");
  return c;
}

Model Model::from_pack(const Pack& pack) {
  Model m;
  m.config = Config::from_pack(pack);
  m.parameters = 0;
  const Config& c = m.config;
  WeightReader read(pack, m.parameters);
  m.embedding = read.matrix("model.embed_tokens.weight", c.vocab_size, c.hidden_size);
  m.output = c.tied_output ? m.embedding : read.matrix("lm_head.weight", c.vocab_size, c.hidden_size);
  m.final_norm = read.vector("model.norm.weight", c.hidden_size);
  for (int i = 0; i < c.layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    const std::string attention = layer + "self_attn.";
    const auto bias = [&](const char* name, int size) {
      return c.attention_bias ? read.vector(attention + name + "_proj.bias", size) : nullptr;
    };
    m.layers.push_back({
        .input_norm = read.vector(layer + "input_layernorm.weight", c.hidden_size),
        .q = read.matrix(attention + "q_proj.weight", c.q_size(), c.hidden_size),
        .k = read.matrix(attention + "k_proj.weight", c.kv_size(), c.hidden_size),
        .v = read.matrix(attention + "v_proj.weight", c.kv_size(), c.hidden_size),
        .q_bias = bias("q", c.q_size()),
        .k_bias = bias("k", c.kv_size()),
        .v_bias = bias("v", c.kv_size()),
        .o = read.matrix(attention + "o_proj.weight", c.hidden_size, c.q_size()),
        .post_norm = read.vector(layer + "post_attention_layernorm.weight", c.hidden_size),
        .gate = read.matrix(layer + "mlp.gate_proj.weight", c.intermediate_size, c.hidden_size),
        .up = read.matrix(layer + "mlp.up_proj.weight", c.intermediate_size, c.hidden_size),
        .down = read.matrix(layer + "mlp.down_proj.weight", c.hidden_size, c.intermediate_size),
    });
  }
  return m;
}

void Model::embed(int32_t token, float* out) const {
  const uint16_t* panel = embedding.data + static_cast<int64_t>(token / kLanes) * embedding.k * kLanes;
  for (int k = 0; k < embedding.k; ++k) {
    const uint16_t bf16 = panel[(k / 2) * 2 * kLanes + 2 * (token % kLanes) + k % 2];
    out[k] = std::bit_cast<float>(static_cast<uint32_t>(bf16) << 16);
  }
}

}  // namespace organ
