// dmath against libm in long double, over the ranges that RoPE and log-probabilities use.
#include "dmath.h"

#include <cmath>

#include "check.h"

namespace organ {
namespace {

double relative(double got, long double truth) {
  return static_cast<double>(std::abs((static_cast<long double>(got) - truth) / truth));
}

TEST(exp_and_log_are_within_two_ulp) {
  double worst_exp = 0.0, worst_log = 0.0;
  for (double x = -690.0; x < 690.0; x += 0.37)
    worst_exp = std::max(worst_exp, relative(dmath::exp(x), std::exp(static_cast<long double>(x))));
  for (double x = 1e-12; x < 1e12; x *= 1.013)
    if (std::abs(x - 1.0) > 1e-3)
      worst_log = std::max(worst_log, relative(dmath::log(x), std::log(static_cast<long double>(x))));
  CHECK(worst_exp < 4.5e-16);
  CHECK(worst_log < 4.5e-16);
  CHECK_EQ(dmath::log(1.0), 0.0);
  CHECK_EQ(dmath::exp(0.0), 1.0);
}

TEST(sin_and_cos_are_within_an_absolute_ulp_of_one) {
  double worst = 0.0;
  for (double x = 0.0; x < 131072.0; x += 0.731) {
    worst = std::max(worst, static_cast<double>(std::abs(dmath::sin(x) - std::sin(static_cast<long double>(x)))));
    worst = std::max(worst, static_cast<double>(std::abs(dmath::cos(x) - std::cos(static_cast<long double>(x)))));
  }
  CHECK(worst < 4.5e-16);
}

}  // namespace
}  // namespace organ

TEST_MAIN()
