#pragma once
// RMSNorm of one row, shared by the norm and by the ops that end in one.

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

// The norm of an op's row t, which lies at x.
template <class T>
void norm_row(const NormArguments& norm, const T* x, std::int64_t t) {
  norm.rstd.as<float>()[t] = normalise_row(x, row_of<const T>(norm.gain, 0), static_cast<float>(norm.epsilon),
                                           norm.gain.elements(), row_of<T>(norm.y, t));
}

}  // namespace headwater::cpu
