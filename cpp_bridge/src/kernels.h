// The kernels, one table per instruction set. Each entry names its rule in numerics.h; all tables give the same bits.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace organ {

// Rows of F32 with a fixed distance (in floats) between them.
struct Rows {
  float* data;
  int64_t stride;
  float* row(int64_t i) const { return data + i * stride; }
};

struct ConstRows {
  const float* data;
  int64_t stride;
  const float* row(int64_t i) const { return data + i * stride; }
};

// Query heads that may share one KV head: bounds a buffer on the stack. Qwen2.5-0.5B has 7.
inline constexpr int kMaxHeadsPerGroup = 64;

// One query position of one sequence against one KV head: the `heads` query heads that share it.
struct Attention {
  const float* q;       // [heads, head_dim], rope applied
  const float* keys;    // [ceil(length / 16), head_dim, 16]: panels of 16 keys; lanes beyond `length` are ignored
  const float* values;  // [length, head_dim]
  float* scores;        // scratch [heads, ceil(length / 16) * 16]
  float* out;           // [heads, head_dim]
  int heads;
  int head_dim;  // a multiple of 16
  int length;    // keys that this query sees
  float scale;
};

struct Kernels {
  const char* isa;

  // Rule 1. y[m][16 p + i] for m < rows and panels p in [first, last); w points at panel 0 of [panels, k/2, 16, 2]
  // BF16. Column 16 * first of the product goes to column 0 of y.
  void (*gemm)(ConstRows x, int rows, const uint16_t* w, int k, int first, int last, Rows y);
  // Rule 2. n is a multiple of 16.
  void (*rms_norm)(const float* x, const float* weight, int n, float eps, float* y);
  // Rule 3.
  void (*attend)(const Attention& a);
  // Rule 5. y[i] += x[i]; n is a multiple of 16.
  void (*add)(float* y, const float* x, int n);
  // Rule 5. gate[i] = silu(gate[i]) * up[i]; n is a multiple of 16.
  void (*swiglu)(float* gate, const float* up, int n);
  // The largest of x[0 .. n), -inf for n = 0. Needs no order. NaN are skipped.
  float (*maximum)(const float* x, int64_t n);
  // True if no x[0 .. n) is NaN or infinite.
  bool (*all_finite)(const float* x, int64_t n);
  // Rule 2 over exp(x[i] - shift): the normaliser of a softmax.
  float (*sum_exp)(const float* x, int64_t n, float shift);
};

extern const Kernels kScalarKernels;
#if ORGAN_X86
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
#endif

// "auto" picks the widest set this processor has. Throws Error for an unknown name or one this processor lacks.
const Kernels& select_kernels(std::string_view isa);
// The names this processor can run, widest first; always ends in "scalar".
std::vector<std::string_view> available_isas();

}  // namespace organ
