// The pack reader on hostile bytes: it may only throw organ::Error. The first byte chooses how the rest is used, so
// that the fuzzer need not discover a length field before it reaches the JSON, nor valid JSON before it reaches the
// model.
#include <cstdint>
#include <string>

#include "json.h"
#include "model.h"
#include "organ/error.h"
#include "tiny_pack.h"

namespace {

void read(const std::string& bytes) {
  const tiny::AlignedBytes aligned(bytes);
  try {
    const organ::Pack pack(aligned.span());
    const organ::Model model = organ::Model::from_pack(pack);
    std::string row(static_cast<size_t>(model.config.hidden_size) * 4, '\0');
    model.embed(model.config.vocab_size - 1, reinterpret_cast<float*>(row.data()));
  } catch (const organ::Error&) {
  }
}

const tiny::Builder& good() {
  static const tiny::Builder builder = [] {
    tiny::Shape shape;
    shape.layers = 1;
    return tiny::builder(shape);
  }();
  return builder;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) return 0;
  const std::string rest(reinterpret_cast<const char*>(data) + 4, size - 4);
  switch (data[0] % 3) {
    case 0:
      read(rest);
      break;
    case 1:
      read(tiny::Builder::assemble(rest, good().data()));
      break;
    default: {
      // A good header with a stretch of it written over.
      std::string header = good().header();
      const size_t at = (data[1] | (data[2] << 8)) % header.size();
      header.replace(at, std::min<size_t>(data[3] % 16, header.size() - at), rest.substr(0, 32));
      read(tiny::Builder::assemble(header, good().data()));
    }
  }
  return 0;
}
