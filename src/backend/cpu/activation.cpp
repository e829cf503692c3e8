// SwiGLU, GELU and ReLU.

#include "checks.h"
#include "cpu_catalogue.h"
#include "parallel.h"
#include "vector_math.h"

namespace headwater::cpu {
namespace {

struct Relu {
  static float value(float x) { return x < 0.0F ? 0.0F : x; }  // NaN stays NaN
  static float slope(float x) { return x > 0.0F ? 1.0F : 0.0F; }
};

struct Gelu {
  static float value(float x) { return x * normal_cdf(x); }
  static float slope(float x) { return normal_cdf(x) + x * 0.39894228F * exp_nonpositive(-0.5F * x * x); }
};

// (1 + tanh u) / 2 is sigmoid(2u).
struct GeluTanh {
  static float gate(float x) { return sigmoid(1.5957691F * x * (1.0F + 0.044715F * x * x)); }
  static float value(float x) { return x * gate(x); }
  static float slope(float x) {
    const float s = gate(x);
    return s + x * s * (1.0F - s) * 1.5957691F * (1.0F + 0.134145F * x * x);
  }
};

// Calls body with the function that is asked for.
template <class Body>
void with_function(op::ActivationFunction function, const Body& body) {
  switch (function) {
    case op::ActivationFunction::relu: return body(Relu());
    case op::ActivationFunction::gelu: return body(Gelu());
    case op::ActivationFunction::gelu_tanh: return body(GeluTanh());
  }
}

}  // namespace

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

void CpuBackend::compute(const op::Activation& activation) {
  const std::int64_t rows = activation.out.rows(), columns = activation.out.columns();
  with_compute_type(activation.x.dtype, [&](auto type) {
    using T = decltype(type);
    with_function(activation.function, [&](auto function) {
      parallel_parts(threads_, rows, [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t t = begin; t < end; ++t) {
          const T* x = row_of<T>(activation.x, t);
          T* y = row_of<T>(activation.out, t);
#pragma omp simd
          for (std::int64_t i = 0; i < columns; ++i) store(function.value(static_cast<float>(x[i])), y + i);
        }
      });
    });
  });
}

void CpuBackend::compute(const op::ActivationBackward& backward) {
  const std::int64_t rows = backward.d_out.rows(), columns = backward.d_out.columns();
  with_compute_type(backward.x.dtype, [&](auto type) {
    using T = decltype(type);
    with_function(backward.function, [&](auto function) {
      parallel_parts(threads_, rows, [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t t = begin; t < end; ++t) {
          const T* x = row_of<T>(backward.x, t);
          const T* dy = row_of<T>(backward.d_out, t);
          T* dx = row_of<T>(backward.dx, t);
#pragma omp simd
          for (std::int64_t i = 0; i < columns; ++i)
            store(static_cast<float>(dy[i]) * function.slope(static_cast<float>(x[i])), dx + i);
        }
      });
    });
  });
}

}  // namespace headwater::cpu
