// Every error the runtime reports. Each message is one line that names the field, tensor or argument at fault.
#pragma once

#include <stdexcept>

namespace organ {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The pack is malformed, or it asks for something this runtime does not support.
struct PackError : Error {
  using Error::Error;
};

// A text or a list of token ids that the tokenizer or the model cannot take.
struct TextError : Error {
  using Error::Error;
};

// A logit is NaN or infinite: an error, never a token.
struct NumericsError : Error {
  using Error::Error;
};

// Somebody asked the running call to stop.
struct Cancelled : Error {
  using Error::Error;
};

}  // namespace organ
