// Sets the floating-point environment of numerics.h (rule 7) for a scope: round to nearest even, subnormals kept,
// no traps.
#pragma once

#if defined(__SSE__)
#include <xmmintrin.h>
#else
#include <cfenv>
#endif

namespace organ {

class ScopedFpEnvironment {
 public:
#if defined(__SSE__)
  ScopedFpEnvironment() : saved_(_mm_getcsr()) { _mm_setcsr(0x1F80); }  // the power-on value of MXCSR
  ~ScopedFpEnvironment() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
#else
  ScopedFpEnvironment() {
    std::fegetenv(&saved_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~ScopedFpEnvironment() { std::fesetenv(&saved_); }

 private:
  std::fenv_t saved_;
#endif

 public:
  ScopedFpEnvironment(const ScopedFpEnvironment&) = delete;
  ScopedFpEnvironment& operator=(const ScopedFpEnvironment&) = delete;
};

}  // namespace organ
