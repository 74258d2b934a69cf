// Builds small random packs in memory and on disk for the tests: the whole container, written by hand, so that the
// reader is checked against the specification (docs/pack-format.md) and not against the Python writer.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace tiny {

struct Shape {
  std::string architecture = "qwen2";
  int hidden = 64, intermediate = 96, layers = 2, heads = 4, kv_heads = 2, head_dim = 32, vocab = 300;
  bool tied = true, bias = true;
  uint32_t seed = 7;
};

// 64-byte aligned bytes, as a mapping would be.
class AlignedBytes {
 public:
  explicit AlignedBytes(const std::string& bytes) : size_(bytes.size()) {
    data_ = static_cast<std::byte*>(std::aligned_alloc(64, (size_ + 64) / 64 * 64));
    std::memcpy(data_, bytes.data(), size_);
  }
  ~AlignedBytes() { std::free(data_); }
  AlignedBytes(const AlignedBytes&) = delete;
  AlignedBytes& operator=(const AlignedBytes&) = delete;
  std::span<const std::byte> span() const { return {data_, size_}; }

 private:
  std::byte* data_;
  size_t size_;
};

class Builder {
 public:
  std::map<std::string, std::string> metadata;

  void add(const std::string& name, const std::string& dtype, const std::vector<int64_t>& shape,
           const std::string& bytes) {
    std::string dims;
    for (const int64_t dim : shape) dims += (dims.empty() ? "" : ",") + std::to_string(dim);
    entries_ += ",\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":[" + dims + "],\"data_offsets\":[" +
                std::to_string(data_.size()) + "," + std::to_string(data_.size() + bytes.size()) + "]}";
    data_ += bytes;
  }

  template <class T>
  void add(const std::string& name, const std::string& dtype, const std::vector<int64_t>& shape,
           const std::vector<T>& values) {
    add(name, dtype, shape, std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)));
  }

  std::string header() const {
    std::string text;
    for (const auto& [key, value] : metadata) text += (text.empty() ? "" : ",") + ("\"" + key + "\":\"" + value + "\"");
    return "{\"__metadata__\":{" + text + "}" + entries_ + "}";
  }

  std::string pack() const { return assemble(header(), data_); }
  const std::string& data() const { return data_; }

  static std::string assemble(std::string header, const std::string& data) {
    while ((header.size() + 8) % 64 != 0) header += ' ';
    const uint64_t length = header.size();
    return std::string(reinterpret_cast<const char*>(&length), 8) + header + data;
  }

 private:
  std::string entries_, data_;
};

// A multiple of 1/128 within [-1, 1): exact in BF16 and the same everywhere, unlike the standard library's distributions,
// whose algorithms differ from one library to the next. That makes golden digests possible.
inline float random_value(std::mt19937& random) {
  return static_cast<float>(static_cast<int>(random() % 256) - 128) / 128.0f;
}

inline std::vector<uint16_t> random_panels(int n, int k, std::mt19937& random) {
  const int panels = (n + 15) / 16;
  std::vector<uint16_t> out(static_cast<size_t>(panels) * 16 * static_cast<size_t>(k));
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t column = (i / (static_cast<size_t>(k) * 16)) * 16 + (i / 2) % 16;
    const float value = random_value(random);
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    out[i] = column < static_cast<size_t>(n) ? static_cast<uint16_t>(bits >> 16) : uint16_t{0};
  }
  return out;
}

inline std::vector<float> random_vector(int n, float mean, std::mt19937& random) {
  std::vector<float> out(static_cast<size_t>(n));
  for (float& value : out) value = mean + 0.25f * random_value(random);
  return out;
}

inline void add_matrix(Builder& b, const std::string& name, int n, int k, std::mt19937& random) {
  b.add(name, "BF16", {(n + 15) / 16, k / 2, 16, 2}, random_panels(n, k, random));
}

// A byte-level tokenizer of the 256 single bytes, one merge ("ab"), and one special token.
inline void add_tokenizer(Builder& b) {
  std::string bytes;
  std::vector<int32_t> offsets{0};
  for (int i = 0; i < 256; ++i) {
    bytes += static_cast<char>(i);
    offsets.push_back(static_cast<int32_t>(bytes.size()));
  }
  for (const char* token : {"ab", "<|end|>"}) {
    bytes += token;
    offsets.push_back(static_cast<int32_t>(bytes.size()));
  }
  b.add<int32_t>("tokenizer.token_offsets", "I32", {static_cast<int64_t>(offsets.size())}, offsets);
  b.add<int32_t>("tokenizer.merges", "I32", {1, 3}, {'a', 'b', 256});
  b.add<int32_t>("tokenizer.added", "I32", {1, 2}, {257, 1});
  b.add("tokenizer.token_bytes", "U8", {static_cast<int64_t>(bytes.size())}, bytes);
}

inline Builder builder(const Shape& s = {}) {
  std::mt19937 random(s.seed);
  Builder b;
  const auto number = [](auto value) { return std::to_string(value); };
  b.metadata = {{"planck.version", "1"},
                {"planck.layout", "kpair16/1"},
                {"planck.numerics", "fma-k/1"},
                {"planck.architecture", s.architecture},
                {"planck.hidden_size", number(s.hidden)},
                {"planck.intermediate_size", number(s.intermediate)},
                {"planck.num_hidden_layers", number(s.layers)},
                {"planck.num_attention_heads", number(s.heads)},
                {"planck.num_key_value_heads", number(s.kv_heads)},
                {"planck.head_dim", number(s.head_dim)},
                {"planck.vocab_size", number(s.vocab)},
                {"planck.max_position_embeddings", "512"},
                {"planck.rope_theta", "10000.0"},
                {"planck.rms_norm_eps", "1e-06"},
                {"planck.tie_word_embeddings", s.tied ? "true" : "false"},
                {"planck.attention_bias", s.bias ? "true" : "false"},
                {"planck.template.prefix", "<|end|>"},
                {"planck.template.suffix", "\\n"},
                {"planck.stop_ids", "257"},
                {"planck.tokenizer.pretokenizer", "smollm"},
                {"planck.tokenizer.normalizer", "none"},
                {"planck.identity", "0"}};
  add_matrix(b, "model.embed_tokens.weight", s.vocab, s.hidden, random);
  if (!s.tied) add_matrix(b, "lm_head.weight", s.vocab, s.hidden, random);
  b.add("model.norm.weight", "F32", {s.hidden}, random_vector(s.hidden, 1.0f, random));
  for (int i = 0; i < s.layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    const int q = s.heads * s.head_dim, kv = s.kv_heads * s.head_dim;
    for (const auto& [name, size] : {std::pair("q", q), std::pair("k", kv), std::pair("v", kv)}) {
      add_matrix(b, layer + "self_attn." + name + "_proj.weight", size, s.hidden, random);
      if (s.bias) b.add(layer + "self_attn." + name + "_proj.bias", "F32", {size}, random_vector(size, 0.0f, random));
    }
    add_matrix(b, layer + "self_attn.o_proj.weight", s.hidden, q, random);
    add_matrix(b, layer + "mlp.gate_proj.weight", s.intermediate, s.hidden, random);
    add_matrix(b, layer + "mlp.up_proj.weight", s.intermediate, s.hidden, random);
    add_matrix(b, layer + "mlp.down_proj.weight", s.hidden, s.intermediate, random);
    for (const char* norm : {"input_layernorm", "post_attention_layernorm"})
      b.add(layer + norm + ".weight", "F32", {s.hidden}, random_vector(s.hidden, 1.0f, random));
  }
  add_tokenizer(b);
  return b;
}

// A file that is gone when the object is.
class TempFile {
 public:
  explicit TempFile(const std::string& bytes) {
    char name[] = "/tmp/organ_test_XXXXXX";
    const int fd = ::mkstemp(name);
    path_ = name;
    ::close(fd);
    std::ofstream(path_, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  ~TempFile() { std::remove(path_.c_str()); }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace tiny
