// Malformed packs: each is a PackError that names the field at fault, never a crash.
#include "pack.h"

#include "check.h"
#include "json.h"
#include "model.h"
#include "organ/error.h"
#include "tiny_pack.h"

namespace organ {
namespace {

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  if (at == std::string::npos) throw std::runtime_error("the test looks for something that is not there: " + from);
  return text.replace(at, from.size(), to);
}

void read(const std::string& bytes) {
  const tiny::AlignedBytes aligned(bytes);
  Model::from_pack(Pack(aligned.span()));
}

void read_with_header(const std::string& from, const std::string& to) {
  const tiny::Builder b = tiny::builder();
  read(tiny::Builder::assemble(replaced(b.header(), from, to), b.data()));
}

void read_with_metadata(const std::string& key, const std::string& value) {
  tiny::Builder b = tiny::builder();
  b.metadata.at(key) = value;
  read(b.pack());
}

TEST(a_good_pack_is_read_and_counted) {
  const tiny::AlignedBytes bytes(tiny::builder().pack());
  const Model model = Model::from_pack(Pack(bytes.span()));
  CHECK_EQ(model.config.layers, 2);
  CHECK(model.output.data == model.embedding.data);
  const int64_t layer = 128 * 64 + 2 * 64 * 64 + 128 + 2 * 64 + 64 * 128 + 3 * 64 * 96 + 2 * 64;
  CHECK_EQ(model.parameters, 300 * 64 + 64 + 2 * layer);
}

TEST(every_truncation_is_refused) {
  tiny::Shape small;
  small.layers = 1;
  small.vocab = 20;
  const std::string bytes = tiny::builder(small).pack();
  for (size_t size = 0; size < bytes.size(); size += size < 6000 ? 7 : 997)
    CHECK_THROWS(PackError, read(bytes.substr(0, size)), "");
  CHECK_THROWS(PackError, read(bytes.substr(0, bytes.size() - 1)), "truncated");
  CHECK_THROWS(PackError, read(bytes + "x"), "after the last tensor");
}

TEST(absurd_lengths_and_sizes_are_refused) {
  CHECK_THROWS(PackError, read(std::string(8, '\xff')), "length field");
  CHECK_THROWS(PackError, read_with_header("\"shape\":[64]", "\"shape\":[9223372036854775807,64]"), "overflows");
  CHECK_THROWS(PackError, read_with_header("\"shape\":[64]", "\"shape\":[-64]"), "not a size");
  CHECK_THROWS(PackError, read_with_header("\"shape\":[64]", "\"shape\":[99999999999999999999]"), "64 bits");
  CHECK_THROWS(PackError, read_with_header("\"shape\":[64]", "\"shape\":[6.4e1]"), "not an integer");
  CHECK_THROWS(PackError, read_with_header("\"shape\":[64]", "\"shape\":[63]"), "model.norm.weight");
}

TEST(offsets_are_checked) {
  const tiny::Builder b = tiny::builder();
  const std::string norm = "\"model.norm.weight\":{\"dtype\":\"F32\",\"shape\":[64],\"data_offsets\":[";
  const size_t at = b.header().find(norm) + norm.size();
  const std::string begin = b.header().substr(at, b.header().find(',', at) - at);
  const long offset = std::stol(begin);
  const auto with_offsets = [&](long from, long to) {
    read_with_header(norm + begin + "," + std::to_string(offset + 256),
                     norm + std::to_string(from) + "," + std::to_string(to));
  };
  with_offsets(offset, offset + 256);
  CHECK_THROWS(PackError, with_offsets(0, 256), "overlaps");
  CHECK_THROWS(PackError, with_offsets(offset + 4, offset + 260), "model");
  CHECK_THROWS(PackError, with_offsets(-256, 0), "model.norm.weight");
  CHECK_THROWS(PackError, with_offsets(1L << 60, (1L << 60) + 256), "outside");
  CHECK_THROWS(PackError, with_offsets(offset + 256, offset), "model.norm.weight");
  CHECK_THROWS(PackError, with_offsets(offset, offset + 255), "needs 256");
}

TEST(json_is_strict) {
  CHECK_THROWS(PackError, read_with_header("\"model.norm.weight\"", "\"model.embed_tokens.weight\""), "appears twice");
  CHECK_THROWS(PackError,
               read_with_header("\"F32\"",
                                "\"F\xff"
                                "2\""),
               "not UTF-8");
  CHECK_THROWS(PackError, read_with_header("\"F32\"", "\"\\ud800\""), "surrogate");
  CHECK_THROWS(PackError, read_with_header("\"F32\"", "\"F16\""), "F16");
  CHECK_THROWS(PackError, read_with_header("\"F32\"", "5"), "dtype");
  CHECK_THROWS(PackError, read_with_header("\"shape\":[64],", ""), "no shape");
  CHECK_THROWS(PackError, read_with_header("{\"dtype\":\"F32\"", "{\"extra\":1,\"dtype\":\"F32\""), "besides");
  CHECK_THROWS(Error, Json::parse(std::string(100000, '[')), "nested");
  CHECK_THROWS(Error, Json::parse("{\"a\":01}"), "leading zero");
  CHECK_THROWS(Error, Json::parse("{\"a\":1,}"), "key");
  CHECK_THROWS(Error, Json::parse("{} {}"), "after the end");
  CHECK_THROWS(Error, Json::parse("\"a\nb\""), "control character");
  CHECK_EQ(*Json::parse("\"\\u00e9\\ud83d\\ude00\\n\"").string(), "\xc3\xa9\xf0\x9f\x98\x80\n");
}

TEST(metadata_is_checked) {
  CHECK_THROWS(PackError, read_with_metadata("planck.version", "2"), "planck.version");
  CHECK_THROWS(PackError, read_with_metadata("planck.layout", "rows/1"), "planck.layout");
  CHECK_THROWS(PackError, read_with_metadata("planck.numerics", "fast/9"), "planck.numerics");
  CHECK_THROWS(PackError, read_with_metadata("planck.architecture", "gpt2"), "planck.architecture");
  CHECK_THROWS(PackError, read_with_metadata("planck.hidden_size", "0"), "planck.hidden_size");
  CHECK_THROWS(PackError, read_with_metadata("planck.hidden_size", "40"), "multiple of 16");
  CHECK_THROWS(PackError, read_with_metadata("planck.hidden_size", "64x"), "not an integer");
  CHECK_THROWS(PackError, read_with_metadata("planck.num_hidden_layers", "1000000000"), "planck.num_hidden_layers");
  CHECK_THROWS(PackError, read_with_metadata("planck.num_key_value_heads", "3"), "planck.num_attention_heads");
  CHECK_THROWS(PackError, read_with_metadata("planck.rope_theta", "nan"), "planck.rope_theta");
  CHECK_THROWS(PackError, read_with_metadata("planck.attention_bias", "yes"), "planck.attention_bias");
  CHECK_THROWS(PackError, read_with_metadata("planck.tie_word_embeddings", "false"), "lm_head.weight: missing");
  CHECK_THROWS(PackError, read_with_metadata("planck.vocab_size", "600"), "model.embed_tokens.weight");
}

}  // namespace
}  // namespace organ

TEST_MAIN()
