// AVX-512F: a V16 is one register.
#include <immintrin.h>

#include <cmath>

#include "kernels.h"
#include "numerics.h"

namespace organ {
namespace {

using V16 = __m512;
using Broadcast = __m512;

inline V16 zero() { return _mm512_setzero_ps(); }
inline V16 set1(float x) { return _mm512_set1_ps(x); }
inline V16 load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, V16 v) { _mm512_storeu_ps(p, v); }
inline Broadcast broadcast(const float* p) { return _mm512_set1_ps(*p); }
inline V16 fma(V16 a, V16 b, V16 c) { return _mm512_fmadd_ps(a, b, c); }
inline V16 add(V16 a, V16 b) { return _mm512_add_ps(a, b); }
inline V16 sub(V16 a, V16 b) { return _mm512_sub_ps(a, b); }
inline V16 mul(V16 a, V16 b) { return _mm512_mul_ps(a, b); }
inline V16 div(V16 a, V16 b) { return _mm512_div_ps(a, b); }
// a if a < b, else b: so a NaN in b comes through.
inline V16 minimum(V16 a, V16 b) { return _mm512_min_ps(a, b); }
// a if a > b, else b: so a NaN in a is skipped.
inline V16 maximum(V16 a, V16 b) { return _mm512_max_ps(a, b); }

inline V16 zero_where_less(V16 y, V16 x, float bound) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(bound), _CMP_NLT_UQ), y);
}

// 2^n from `rounded` = n + kRound (numerics.h, rule 4).
inline V16 power_of_two(V16 rounded) {
  const __m512i n = _mm512_sub_epi32(_mm512_castps_si512(rounded),
                                     _mm512_set1_epi32(static_cast<int>(exp_constants::kRoundBits - 127u)));
  return _mm512_castsi512_ps(_mm512_slli_epi32(n, 23));
}

inline void prefetch(const void* p, int64_t bytes_ahead) {
  _mm_prefetch(static_cast<const char*>(p) + bytes_ahead, _MM_HINT_T0);
}

// A cell is 16 columns by 2 k: the even k is the low half of each word, and a shift widens it; the odd one needs a
// mask.
inline V16 widen_even(const uint16_t* cell) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_load_si512(cell), 16));
}
inline V16 widen_odd(const uint16_t* cell) {
  return _mm512_castsi512_ps(
      _mm512_and_si512(_mm512_load_si512(cell), _mm512_set1_epi32(static_cast<int>(0xFFFF0000u))));
}

// Thirty-two registers: 12 rows by 2 panels are 24 accumulators, 2 weights, 1 broadcast. Fewer rows take more
// panels: 8 chains at the least keep two FMA units of 4 cycles busy. One row waits for memory: by 1, 2, 4 and 8 panels a
// step of Qwen2.5-0.5B on one Zen 4 core took 41.0, 44.5, 38.5 and 37.1 ms.
constexpr int kMaxTileRows = 12;
// Up to 4 rows the processor's own window reaches far enough: it holds the work on 27 cells of a tile of 4 by 4, and a
// prefetch only takes a slot from a load that asks for the same (Zen 4, 1 row: 19 against 26 GB/s).
constexpr int kMinPrefetchRows = 5;
#define ORGAN_PANELS_BY_ROWS(f) \
  f<1, 8>, f<2, 4>, f<3, 4>, f<4, 4>, f<5, 2>, f<6, 2>, f<7, 2>, f<8, 2>, f<9, 2>, f<10, 2>, f<11, 2>, f<12, 2>

}  // namespace

#include "kernels_simd.inc"

const Kernels kAvx512Kernels = {"avx512", gemm, rms_norm, attend, add, swiglu, maximum, all_finite, sum_exp};

}  // namespace organ
