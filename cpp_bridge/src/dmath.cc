#include "dmath.h"

#include <bit>
#include <cmath>
#include <cstdint>

namespace organ::dmath {
namespace {

constexpr double kLn2High = 0x1.62e42feep-1;  // 32 significant bits: n * kLn2High is exact for |n| < 2^20
constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
// pi / 2 in three parts of 33, 33 and 53 bits (Cody and Waite): n * kHalfPi1 and n * kHalfPi2 are exact for n < 2^20.
constexpr double kHalfPi1 = 0x1.921fb544p+0;
constexpr double kHalfPi2 = 0x1.0b4611a6p-34;
constexpr double kHalfPi3 = 0x1.3198a2e037073p-69;

struct Reduced {
  double r;  // |r| <= pi / 4
  int quadrant;
};

Reduced reduce(double x) {
  const double n = std::nearbyint(x * 0x1.45f306dc9c883p-1);
  const double r = ((x - n * kHalfPi1) - n * kHalfPi2) - n * kHalfPi3;
  return {r, static_cast<int>(static_cast<int64_t>(n) & 3)};
}

// Taylor series by Horner's rule; at |r| <= pi / 4 the first term left out is below 1e-19.
double sin_series(double r) {
  const double z = r * r;
  double s = 0.0;
  for (int k = 19; k >= 3; k -= 2) s = (1.0 + s) * (-z / static_cast<double>(k * (k - 1)));
  return r + r * s;
}

double cos_series(double r) {
  const double z = r * r;
  double s = 0.0;
  for (int k = 20; k >= 2; k -= 2) s = (1.0 + s) * (-z / static_cast<double>(k * (k - 1)));
  return 1.0 + s;
}

}  // namespace

double exp(double x) {
  x = x > 700.0 ? 700.0 : x < -700.0 ? -700.0 : x;
  const double n = std::nearbyint(x / (kLn2High + kLn2Low));
  const double r = (x - n * kLn2High) - n * kLn2Low;
  double s = 0.0;  // expm1(r): |r| <= 0.35, the first term left out is below 1e-18
  for (int k = 16; k >= 1; --k) s = (1.0 + s) * (r / static_cast<double>(k));
  const uint64_t exponent = static_cast<uint64_t>(static_cast<int64_t>(n) + 1023) << 52;
  return (1.0 + s) * std::bit_cast<double>(exponent);
}

double log(double x) {
  // x = m * 2^e with m in [sqrt(1/2), sqrt(2)); log m = 2 atanh((m - 1) / (m + 1)).
  int e = 0;
  double m = std::frexp(x, &e);
  if (m < 0.70710678118654752) {
    m *= 2.0;
    --e;
  }
  const double f = (m - 1.0) / (m + 1.0);  // |f| <= 0.172: f^24 is below 1e-18
  const double z = f * f;
  double s = 0.0;
  for (int k = 23; k >= 3; k -= 2) s = z * (1.0 / static_cast<double>(k) + s);
  return static_cast<double>(e) * kLn2High + (2.0 * (f + f * s) + static_cast<double>(e) * kLn2Low);
}

double sin(double x) {
  const auto [r, quadrant] = reduce(x);
  const double value = quadrant % 2 == 0 ? sin_series(r) : cos_series(r);
  return quadrant < 2 ? value : -value;
}

double cos(double x) {
  const auto [r, quadrant] = reduce(x);
  const double value = quadrant % 2 == 0 ? cos_series(r) : sin_series(r);
  return quadrant == 0 || quadrant == 3 ? value : -value;
}

}  // namespace organ::dmath
