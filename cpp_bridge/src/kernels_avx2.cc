// AVX2 and FMA: a V16 is two registers of eight floats.
#include <immintrin.h>

#include <cmath>

#include "kernels.h"
#include "numerics.h"

namespace organ {
namespace {

struct V16 {
  __m256 low, high;
};
using Broadcast = __m256;

inline V16 zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline V16 set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline V16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float* p, V16 v) {
  _mm256_storeu_ps(p, v.low);
  _mm256_storeu_ps(p + 8, v.high);
}
inline Broadcast broadcast(const float* p) { return _mm256_broadcast_ss(p); }
inline V16 fma(Broadcast a, V16 b, V16 c) {
  return {_mm256_fmadd_ps(a, b.low, c.low), _mm256_fmadd_ps(a, b.high, c.high)};
}
inline V16 fma(V16 a, V16 b, V16 c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
inline V16 add(V16 a, V16 b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
inline V16 sub(V16 a, V16 b) { return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)}; }
inline V16 mul(V16 a, V16 b) { return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)}; }
inline V16 div(V16 a, V16 b) { return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)}; }
// a if a < b, else b: so a NaN in b comes through.
inline V16 minimum(V16 a, V16 b) { return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)}; }
// a if a > b, else b: so a NaN in a is skipped.
inline V16 maximum(V16 a, V16 b) { return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }

inline __m256 zero_where_less(__m256 y, __m256 x, float bound) {
  return _mm256_andnot_ps(_mm256_cmp_ps(x, _mm256_set1_ps(bound), _CMP_LT_OQ), y);
}
inline V16 zero_where_less(V16 y, V16 x, float bound) {
  return {zero_where_less(y.low, x.low, bound), zero_where_less(y.high, x.high, bound)};
}

// 2^n from `rounded` = n + kRound (numerics.h, rule 4).
inline __m256 power_of_two(__m256 rounded) {
  const __m256i n = _mm256_sub_epi32(_mm256_castps_si256(rounded),
                                     _mm256_set1_epi32(static_cast<int>(exp_constants::kRoundBits - 127u)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(n, 23));
}
inline V16 power_of_two(V16 rounded) { return {power_of_two(rounded.low), power_of_two(rounded.high)}; }

inline void prefetch(const void* p, int64_t bytes_ahead) {
  _mm_prefetch(static_cast<const char*>(p) + bytes_ahead, _MM_HINT_T0);
}

inline __m256i words(const uint16_t* cell) { return _mm256_load_si256(reinterpret_cast<const __m256i*>(cell)); }
// A cell is 16 columns by 2 k: the even k is the low half of each word, and a shift widens it; the odd one needs a
// mask.
inline V16 widen_even(const uint16_t* cell) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(words(cell), 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(words(cell + 16), 16))};
}
inline V16 widen_odd(const uint16_t* cell) {
  const __m256i mask = _mm256_set1_epi32(static_cast<int>(0xFFFF0000u));
  return {_mm256_castsi256_ps(_mm256_and_si256(words(cell), mask)),
          _mm256_castsi256_ps(_mm256_and_si256(words(cell + 16), mask))};
}

// Sixteen registers: 5 rows by 1 panel are 10 accumulators, 2 weights, 1 broadcast and the mask of widen_odd. 6
// rows fit by count, but GCC 12 then keeps two accumulators on the stack: 87 against 116 GFLOP/s in cache on Zen 5
// (peak 128 at 4 GHz). Fewer rows take more panels, since an FMA takes 4 cycles and two start in each: 8 chains
// keep the units busy.
constexpr int kMaxTileRows = 5;
// Up to 2 rows the processor's own window reaches far enough, and a prefetch only takes a slot from a load that asks for
// the same (Zen 4, GFLOP/s without and with it; 1 row: 29 and 24; 4 rows: 49 and 64; 19 rows: 83 and 97).
constexpr int kMinPrefetchRows = 3;
#define ORGAN_PANELS_BY_ROWS(f) f<1, 4>, f<2, 2>, f<3, 1>, f<4, 1>, f<5, 1>

}  // namespace

#include "kernels_simd.inc"

const Kernels kAvx2Kernels = {"avx2", gemm, rms_norm, attend, add, swiglu, maximum, all_finite, sum_exp};

}  // namespace organ
