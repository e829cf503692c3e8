// SwiGLU.

#include "checks.h"
#include "cpu_catalogue.h"
#include "parallel.h"
#include "vector_math.h"

namespace headwater::cpu {

void CpuBackend::compute(const op::Swiglu& swiglu) {
  const std::int64_t rows = swiglu.out.rows(), columns = swiglu.out.columns();
  with_compute_type(swiglu.x.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_parts(threads_, rows, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t t = begin; t < end; ++t) {
        const T* gate = row_of<T>(swiglu.x, t);
        const T* up = gate + columns;
        T* y = row_of<T>(swiglu.out, t);
#pragma omp simd
        for (std::int64_t i = 0; i < columns; ++i) {
          const float g = static_cast<float>(gate[i]);
          store(g * sigmoid(g) * static_cast<float>(up[i]), y + i);
        }
      }
    });
  });
}

void CpuBackend::compute(const op::SwigluBackward& backward) {
  const std::int64_t rows = backward.d_out.rows(), columns = backward.d_out.columns();
  with_compute_type(backward.x.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_parts(threads_, rows, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t t = begin; t < end; ++t) {
        const T* gate = row_of<T>(backward.x, t);
        const T* up = gate + columns;
        const T* dy = row_of<T>(backward.d_out, t);
        T* d_gate = row_of<T>(backward.dx, t);
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
