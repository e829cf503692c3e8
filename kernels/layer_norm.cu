// LayerNorm, alone and after a residual sum: a block a row. The variance is taken around the mean, so that a
// row far from zero keeps its digits.

#include "dropout_rows.cuh"
#include "rows.cuh"

namespace headwater::kernels {
namespace {

// Where a row's results go.
template <class T>
struct LayerNormResult {
  const T *gain, *bias;
  T* y;
  float *mean, *rstd;  // of this row
};

// make(column, v) gives a chunk of the row as it is in memory of type T, and is called once; again(column, v)
// gives it anew. A thread keeps its first chunk in registers.
template <int kN, class T, class Make, class Again>
__device__ __forceinline__ void layer_norm_row(std::int64_t columns, float epsilon,
                                               const LayerNormResult<T>& result, const Make& make,
                                               const Again& again) {
  SHARED_ARRAY(float, partial, [2][kWarp]);
  const std::int64_t first = static_cast<std::int64_t>(threadIdx.x) * kN;
  const std::int64_t step = static_cast<std::int64_t>(blockDim.x) * kN;
  const auto count = static_cast<float>(columns);
  float held[kN] = {}, sum = 0.0F;
  if (first < columns) {
    make(first, held);
    for (int i = 0; i < kN; ++i) sum += held[i];
  }
  for (std::int64_t column = first + step; column < columns; column += step) {
    float v[kN];
    make(column, v);
    for (int i = 0; i < kN; ++i) sum += v[i];
  }
  const float mean = row_sum(sum, partial[0]) / count;

  float squares = 0.0F;
  if (first < columns) {
    for (int i = 0; i < kN; ++i) squares += (held[i] - mean) * (held[i] - mean);
  }
  for (std::int64_t column = first + step; column < columns; column += step) {
    float v[kN];
    again(column, v);
    for (int i = 0; i < kN; ++i) squares += (v[i] - mean) * (v[i] - mean);
  }
  const float r = rsqrtf(row_sum(squares, partial[1]) / count + epsilon);

  const auto write = [&](std::int64_t column, float(&v)[kN]) {
    float g[kN], b[kN];
    load<kN>(result.gain + column, g);
    load<kN>(result.bias + column, b);
    for (int i = 0; i < kN; ++i) v[i] = g[i] * ((v[i] - mean) * r) + b[i];
    store<kN>(result.y + column, v);
  };
  if (first < columns) write(first, held);
  for (std::int64_t column = first + step; column < columns; column += step) {
    float v[kN];
    again(column, v);
    write(column, v);
  }
  if (threadIdx.x == 0) *result.mean = mean, *result.rstd = r;
}

template <class T, int kN>
__global__ void __launch_bounds__(kRowThreads, 1)
    layer_norm_kernel(Rows<const T> x, const T* gain, const T* bias, float epsilon, Rows<T> y, float* mean,
                      float* rstd, std::int64_t columns) {
  const std::int64_t row = blockIdx.x;
  const auto read = [&](std::int64_t column, float(&v)[kN]) { load<kN>(x.row(row) + column, v); };
  layer_norm_row<kN, T>(columns, epsilon, {gain, bias, y.row(row), mean + row, rstd + row}, read, read);
}

template <class T, int kN>
__global__ void __launch_bounds__(kRowThreads, 1)
    residual_layer_norm_kernel(Rows<const T> branch, Rows<const T> x, RowDropout dropout, const T* gain,
                               const T* bias, float epsilon, Rows<T> out, Rows<T> y, float* mean, float* rstd,
                               std::int64_t columns) {
  const std::int64_t row = blockIdx.x;
  const DropoutRow mask(dropout, row, columns);
  const auto add = [&](std::int64_t column, float(&v)[kN]) {
    float skip[kN];
    load_once<kN>(branch.row(row) + column, v);
    load<kN>(x.row(row) + column, skip);  // `out` may be x
    mask.apply(column, v);
    for (int i = 0; i < kN; ++i) v[i] += skip[i];
    round_to<T>(v);
    store<kN>(out.row(row) + column, v);
  };
  const auto read = [&](std::int64_t column, float(&v)[kN]) { load<kN>(out.row(row) + column, v); };
  layer_norm_row<kN, T>(columns, epsilon, {gain, bias, y.row(row), mean + row, rstd + row}, add, read);
}

}  // namespace

template <class T>
void layer_norm(Rows<const T> x, const T* gain, const T* bias, double epsilon, Rows<T> y, float* mean,
                float* rstd, std::int64_t rows, std::int64_t columns, cudaStream_t stream) {
  if (rows == 0) return;
  const bool vectors = fit_vectors(columns, x, one_row(gain), one_row(bias), y);
  launch(vectors ? layer_norm_kernel<T, kVector<T>> : layer_norm_kernel<T, 1>, static_cast<unsigned>(rows),
         row_threads(columns, vectors ? kVector<T> : 1), 0, stream, x, gain, bias, epsilon, y, mean, rstd,
         columns);
}

template <class T>
void residual_layer_norm(Rows<const T> branch, Rows<const T> x, const RowDropout& dropout, const T* gain,
                         const T* bias, double epsilon, Rows<T> out, Rows<T> y, float* mean, float* rstd,
                         std::int64_t rows, std::int64_t columns, cudaStream_t stream) {
  if (rows == 0) return;
  const bool vectors = fit_vectors(columns, branch, x, one_row(gain), one_row(bias), out, y);
  launch(vectors ? residual_layer_norm_kernel<T, kVector<T>> : residual_layer_norm_kernel<T, 1>,
         static_cast<unsigned>(rows), row_threads(columns, vectors ? kVector<T> : 1), 0, stream, branch, x,
         dropout, gain, bias, epsilon, out, y, mean, rstd, columns);
}

#define INSTANTIATE(T)                                                                                       \
  template void layer_norm(Rows<const T>, const T*, const T*, double, Rows<T>, float*, float*, std::int64_t, \
                           std::int64_t, cudaStream_t);                                                      \
  template void residual_layer_norm(Rows<const T>, Rows<const T>, const RowDropout&, const T*, const T*,     \
                                    double, Rows<T>, Rows<T>, float*, float*, std::int64_t, std::int64_t,    \
                                    cudaStream_t);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace headwater::kernels
