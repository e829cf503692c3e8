// SwiGLU.

#include "checks.h"
#include "cpu_catalogue.h"
#include "parallel.h"
#include "vector_math.h"

namespace headwater::cpu {

void CpuBackend::swiglu(TensorView x, TensorView out) {
  const std::int64_t rows = out.rows(), columns = out.columns();
  check_matrix(x, out.dtype, rows, 2 * columns, "x");
  with_compute_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_parts(threads_, rows, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t t = begin; t < end; ++t) {
        const T* gate = row_of<T>(x, t);
        const T* up = gate + columns;
        T* y = row_of<T>(out, t);
#pragma omp simd
        for (std::int64_t i = 0; i < columns; ++i) {
          const float g = static_cast<float>(gate[i]);
          store(g * sigmoid(g) * static_cast<float>(up[i]), y + i);
        }
      }
    });
  });
}

void CpuBackend::swiglu_backward(TensorView d_out, TensorView x, TensorView dx) {
  const std::int64_t rows = d_out.rows(), columns = d_out.columns();
  check_matrix(x, d_out.dtype, rows, 2 * columns, "x");
  check_matrix(dx, d_out.dtype, rows, 2 * columns, "dx");
  with_compute_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_parts(threads_, rows, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t t = begin; t < end; ++t) {
        const T* gate = row_of<T>(x, t);
        const T* up = gate + columns;
        const T* dy = row_of<T>(d_out, t);
        T* d_gate = row_of<T>(dx, t);
        T* d_up = d_gate + columns;
#pragma omp simd
        for (std::int64_t i = 0; i < columns; ++i) {
          const float g = static_cast<float>(gate[i]), u = static_cast<float>(up[i]),
                      d = static_cast<float>(dy[i]);
          const float s = sigmoid(g);
          store(d * u * s * (1.0F + g * (1.0F - s)), d_gate + i);
          store(d * g * s, d_up + i);
        }
      }
    });
  });
}

}  // namespace headwater::cpu
