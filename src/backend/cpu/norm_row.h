#pragma once
// RMSNorm and LayerNorm of one row, shared by the norm and by the ops that end in one.

#include "headwater/backend/op_arguments.h"

#include "checks.h"
#include "vector_math.h"

#include <cmath>
#include <cstdint>

namespace headwater::cpu {

// y = g ⊙ x·r; gives r = 1/√(mean(x²) + ε).
template <class T>
float normalise_row(const T* x, const T* gain, float epsilon, std::int64_t columns, T* y) {
  float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < columns; ++i) sum += static_cast<float>(x[i]) * static_cast<float>(x[i]);
  const float r = 1.0F / std::sqrt(sum / static_cast<float>(columns) + epsilon);
#pragma omp simd
  for (std::int64_t i = 0; i < columns; ++i)
    store(static_cast<float>(gain[i]) * (static_cast<float>(x[i]) * r), y + i);
  return r;
}

struct Moments {
  float mean, rstd;
};

// y = g ⊙ (x − m)·r + b; gives m = mean(x) and r = 1/√(mean((x − m)²) + ε). The variance is taken around the
// mean, so that a row far from zero keeps its digits.
template <class T>
Moments centre_and_normalise_row(const T* x, const T* gain, const T* bias, float epsilon,
                                 std::int64_t columns, T* y) {
  float sum = 0.0F, squares = 0.0F;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < columns; ++i) sum += static_cast<float>(x[i]);
  const float m = sum / static_cast<float>(columns);
#pragma omp simd reduction(+ : squares)
  for (std::int64_t i = 0; i < columns; ++i) {
    const float centred = static_cast<float>(x[i]) - m;
    squares += centred * centred;
  }
  const float r = 1.0F / std::sqrt(squares / static_cast<float>(columns) + epsilon);
#pragma omp simd
  for (std::int64_t i = 0; i < columns; ++i)
    store(static_cast<float>(gain[i]) * ((static_cast<float>(x[i]) - m) * r) + static_cast<float>(bias[i]),
          y + i);
  return {m, r};
}

// The norm of an op's row t, which lies at x.
template <class T>
void norm_row(const NormArguments& norm, const T* x, std::int64_t t) {
  const auto epsilon = static_cast<float>(norm.epsilon);
  const std::int64_t columns = norm.gain.elements();
  const T* gain = row_of<const T>(norm.gain, 0);
  T* y = row_of<T>(norm.y, t);
  if (!norm.mean) {
    norm.rstd.as<float>()[t] = normalise_row(x, gain, epsilon, columns, y);
    return;
  }
  const Moments moments =
      centre_and_normalise_row(x, gain, row_of<const T>(norm.bias, 0), epsilon, columns, y);
  norm.mean.as<float>()[t] = moments.mean;
  norm.rstd.as<float>()[t] = moments.rstd;
}

}  // namespace headwater::cpu
