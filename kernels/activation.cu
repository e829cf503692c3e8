// SwiGLU, GELU and ReLU, forward and backward.

#include "activation.cuh"
#include "rows.cuh"

namespace headwater::kernels {
namespace {

template <class T, int kN>
__global__ void __launch_bounds__(256)
    swiglu_kernel(Rows<const T> x, Rows<T> out, std::int64_t rows, std::int64_t columns) {
  for_each_chunk<kN>(rows, columns, [&](std::int64_t row, std::int64_t column) {
    float gate[kN], up[kN];
    load_once<kN>(x.row(row) + column, gate);
    load_once<kN>(x.row(row) + columns + column, up);
    for (int i = 0; i < kN; ++i) up[i] *= gate[i] * sigmoid(gate[i]);
    store<kN>(out.row(row) + column, up);
  });
}

template <class T, int kN>
__global__ void __launch_bounds__(256)
    swiglu_backward_kernel(Rows<const T> d_out, Rows<const T> x, Rows<T> dx, std::int64_t rows,
                           std::int64_t columns) {
  for_each_chunk<kN>(rows, columns, [&](std::int64_t row, std::int64_t column) {
    float gate[kN], up[kN], d[kN];
    load<kN>(x.row(row) + column, gate);  // dx may be x
    load<kN>(x.row(row) + columns + column, up);
    load_once<kN>(d_out.row(row) + column, d);
    for (int i = 0; i < kN; ++i) {
      const float s = sigmoid(gate[i]);
      const float d_gate = d[i] * up[i] * s * (1.0F + gate[i] * (1.0F - s));
      up[i] = d[i] * gate[i] * s;
      gate[i] = d_gate;
    }
    store<kN>(dx.row(row) + column, gate);
    store<kN>(dx.row(row) + columns + column, up);
  });
}

template <class F, class T, int kN>
__global__ void __launch_bounds__(256)
    activation_kernel(Rows<const T> x, Rows<T> out, std::int64_t rows, std::int64_t columns) {
  for_each_chunk<kN>(rows, columns, [&](std::int64_t row, std::int64_t column) {
    float v[kN];
    load<kN>(x.row(row) + column, v);
    for (int i = 0; i < kN; ++i) v[i] = F::value(v[i]);
    store<kN>(out.row(row) + column, v);
  });
}

template <class F, class T, int kN>
__global__ void __launch_bounds__(256)
    activation_backward_kernel(Rows<const T> d_out, Rows<const T> x, Rows<T> dx, std::int64_t rows,
                               std::int64_t columns) {
  for_each_chunk<kN>(rows, columns, [&](std::int64_t row, std::int64_t column) {
    float v[kN], d[kN];
    load<kN>(x.row(row) + column, v);
    load<kN>(d_out.row(row) + column, d);
    for (int i = 0; i < kN; ++i) d[i] *= F::slope(v[i]);
    store<kN>(dx.row(row) + column, d);
  });
}

// body(F()) for the function that is asked for.
template <class Body>
void with_function(Activation activation, const Body& body) {
  switch (activation) {
    case Activation::relu: return body(Relu());
    case Activation::gelu: return body(GeluErf());
    case Activation::gelu_tanh: return body(GeluTanh());
  }
}

}  // namespace

template <class T>
void swiglu(Rows<const T> x, Rows<T> out, std::int64_t rows, std::int64_t columns, cudaStream_t stream) {
  if (rows == 0 || columns == 0) return;
  const bool vectors = fit_vectors(columns, x, out);
  const RowGrid shape(rows, columns, vectors ? kVector<T> : 1);
  launch(vectors ? swiglu_kernel<T, kVector<T>> : swiglu_kernel<T, 1>, shape.grid, shape.threads, 0, stream,
         x, out, rows, columns);
}

template <class T>
void swiglu_backward(Rows<const T> d_out, Rows<const T> x, Rows<T> dx, std::int64_t rows,
                     std::int64_t columns, cudaStream_t stream) {
  if (rows == 0 || columns == 0) return;
  const bool vectors = fit_vectors(columns, d_out, x, dx);
  const RowGrid shape(rows, columns, vectors ? kVector<T> : 1);
  launch(vectors ? swiglu_backward_kernel<T, kVector<T>> : swiglu_backward_kernel<T, 1>, shape.grid,
         shape.threads, 0, stream, d_out, x, dx, rows, columns);
}

template <class T>
void activation(Activation which, Rows<const T> x, Rows<T> out, std::int64_t rows, std::int64_t columns,
                cudaStream_t stream) {
  if (rows == 0 || columns == 0) return;
  const bool vectors = fit_vectors(columns, x, out);
  const RowGrid shape(rows, columns, vectors ? kVector<T> : 1);
  with_function(which, [&](auto function) {
    using F = decltype(function);
    launch(vectors ? activation_kernel<F, T, kVector<T>> : activation_kernel<F, T, 1>, shape.grid,
           shape.threads, 0, stream, x, out, rows, columns);
  });
}

template <class T>
void activation_backward(Activation which, Rows<const T> d_out, Rows<const T> x, Rows<T> dx,
                         std::int64_t rows, std::int64_t columns, cudaStream_t stream) {
  if (rows == 0 || columns == 0) return;
  const bool vectors = fit_vectors(columns, d_out, x, dx);
  const RowGrid shape(rows, columns, vectors ? kVector<T> : 1);
  with_function(which, [&](auto function) {
    using F = decltype(function);
    launch(vectors ? activation_backward_kernel<F, T, kVector<T>> : activation_backward_kernel<F, T, 1>,
           shape.grid, shape.threads, 0, stream, d_out, x, dx, rows, columns);
  });
}

#define INSTANTIATE(T)                                                                                    \
  template void swiglu(Rows<const T>, Rows<T>, std::int64_t, std::int64_t, cudaStream_t);                 \
  template void swiglu_backward(Rows<const T>, Rows<const T>, Rows<T>, std::int64_t, std::int64_t,        \
                                cudaStream_t);                                                            \
  template void activation(Activation, Rows<const T>, Rows<T>, std::int64_t, std::int64_t, cudaStream_t); \
  template void activation_backward(Activation, Rows<const T>, Rows<const T>, Rows<T>, std::int64_t,      \
                                    std::int64_t, cudaStream_t);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace headwater::kernels
