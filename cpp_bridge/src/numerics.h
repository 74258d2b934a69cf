// The arithmetic contract of this runtime, in prose. kernels_scalar.cc is the same contract as a program, and every
// other kernel file must give its bits. A pack names the contract it was recorded under; any change of a rule below
// is a new id.
//
//  1. Matrix product. y[m][n] is one chain acc = fma(x[m][k], w[n][k], acc), k = 0 .. K-1, from acc = +0. Weights
//     are BF16 widened exactly, activations are F32 and never rounded to BF16. A bias is one addition after the
//     chain. Tile shape, panel width, K blocks (an F32 that is stored and loaded again is the same F32) and who
//     computes are free; K is never split. Hence bits that do not depend on batch, threads, chunking or vector
//     width.
//  2. Sums along a row (RMSNorm, softmax). Sixteen lanes: element j joins lane j mod 16, in ascending order; then
//     lanes are folded 8, 4, 2, 1: lane[i] += lane[i + 8], and so on. RMSNorm: lane = fma(x, x, lane); y = (x * (1
//     / sqrt(sum / n + eps))) * w with IEEE sqrt and division.
//  3. Attention. Two passes, never an online softmax, never a split along keys. score[t] = (chain over d ascending)
//     * scale; the maximum needs no order; p[t] = exp(score[t] - max); the sum by rule 2; out[d] = (chain over t
//     ascending) / sum.
//  4. exp is a polynomial (constants below): fma, add, multiply and integer operations, the same constants
//     everywhere. RoPE tables come from dmath.h, in double, rounded once. No function of libm is called but fma, sqrt,
//     nearbyint and frexp, which IEEE 754 defines to the last bit.
//  5. Residual and bias: one F32 addition. SwiGLU: (g / (1 + exp(-g))) * u. RoPE: a*cos - b*sin and b*cos + a*sin,
//     each product and each sum rounded.
//  6. Forbidden: approximate reciprocals (rsqrtps, rcpps differ between vendors), BF16 dot instructions (vdpbf16ps
//     fixes its own rounding and flushes subnormals), AMX, -ffast-math, contraction by the compiler (GCC contracts
//     even intrinsics under its C++ default, hence -ffp-contract=off).
//  7. Rounding to nearest even, subnormals kept: every thread sets its floating-point environment on entry and
//     restores it (fp_environment.h). A library linked with -ffast-math may have changed it:
//     https://moyix.blogspot.com/2022/09/someones-been-messing-with-my-subnormals.html
//  8. Greedy choice: the largest logit, ties to the lowest id. A NaN or infinite logit is an error, not a token.
//  9. What is not supported is refused at load. No other arithmetic ever runs under the same id.
#pragma once

#include <cstdint>

namespace organ {

inline constexpr const char* kNumericsId = "fma-k/1";
inline constexpr const char* kLayoutId = "kpair16/1";

// Columns of one weight panel, keys of one key panel, and lanes of rule 2.
inline constexpr int kLanes = 16;

// Rule 4: exp(x) = 2^n * exp(r) with n = round(x / ln 2), |r| <= ln(2) / 2. ln 2 is split so that n * kLn2High is
// exact for |n| < 512 (kLn2High has 9 significant bits). The degree-7 polynomial is the minimax one of the Cephes
// library's expf (https://www.netlib.org/cephes/); compared with exp in double from -90 to 90 in steps of 0.00137:
// tests/kernels_test.cc.
namespace exp_constants {
inline constexpr float kLargest = 88.0f;    // exp(88) = 1.65e38 is finite; beyond, sigmoid is 0 anyway
inline constexpr float kSmallest = -87.0f;  // below, exp is +0: the result would be subnormal, and no sum notices it
inline constexpr float kLog2E = 1.44269504088896341f;
inline constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
inline constexpr uint32_t kRoundBits = 0x4B400000u;
inline constexpr float kLn2High = 0.693359375f;
inline constexpr float kLn2Low = -2.12194440e-4f;
inline constexpr float kPolynomial[] = {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f,
                                        4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f};
}  // namespace exp_constants

}  // namespace organ
