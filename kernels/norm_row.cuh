#pragma once
// RMSNorm of a row that a block makes, shared by the norms and by the kernels that end in one.

#include "rows.cuh"

namespace headwater::kernels {

// y = g ⊙ v·r, r = 1/√(mean(v²) + ε) is returned to every thread. make(column, v) gives a chunk of v as it is
// in memory of type T, and is called once; again(column, v) gives it a second time. A thread keeps its first
// chunk in registers: a row of up to blockDim.x · kN columns is asked for once.
template <int kN, class T, class Make, class Again>
__device__ __forceinline__ float normalise_row(std::int64_t columns, float epsilon, const T* gain, T* y,
                                               const Make& make, const Again& again) {
  SHARED_ARRAY(float, partial, [kWarp]);
  const std::int64_t first = static_cast<std::int64_t>(threadIdx.x) * kN;
  const std::int64_t step = static_cast<std::int64_t>(blockDim.x) * kN;
  float held[kN] = {}, squares = 0.0F;
  if (first < columns) {
    make(first, held);
    for (int i = 0; i < kN; ++i) squares += held[i] * held[i];
  }
  for (std::int64_t column = first + step; column < columns; column += step) {
    float v[kN];
    make(column, v);
    for (int i = 0; i < kN; ++i) squares += v[i] * v[i];
  }
  const float r = rsqrtf(row_sum(squares, partial) / static_cast<float>(columns) + epsilon);

  const auto write = [&](std::int64_t column, float(&v)[kN]) {
    float g[kN];
    load<kN>(gain + column, g);
    for (int i = 0; i < kN; ++i) v[i] = g[i] * (v[i] * r);
    store<kN>(y + column, v);
  };
  if (first < columns) write(first, held);
  for (std::int64_t column = first + step; column < columns; column += step) {
    float v[kN];
    again(column, v);
    write(column, v);
  }
  return r;
}

}  // namespace headwater::kernels
