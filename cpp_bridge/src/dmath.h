// exp, log, sin and cos in double from additions, multiplications and divisions alone: libm's own may differ
// between glibc versions and processors (it picks variants at load time), and the RoPE tables and log-probabilities
// are part of the bits. Errors stay below 4e-16 relative (1e-15 for large angles), tests/dmath_test.cc.
#pragma once

namespace organ::dmath {

// |x| <= 700; outside, the nearest bound is taken.
double exp(double x);
// x > 0 and finite.
double log(double x);
// |x| <= 2^20 radians: RoPE's largest angle is the position itself.
double sin(double x);
double cos(double x);

}  // namespace organ::dmath
