// SHA-256 (FIPS 180-4), so that a runtime without Python can say which bytes it has mapped.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace organ {

// 64 lower-case hexadecimal digits.
std::string sha256_hex(std::span<const std::byte> data);

}  // namespace organ
