// RMSNorm, alone and after a residual sum: a block a row.

#include "dropout_rows.cuh"
#include "norm_row.cuh"

namespace headwater::kernels {
namespace {

template <class T, int kN>
__global__ void __launch_bounds__(kRowThreads, 1)
    rms_norm_kernel(Rows<const T> x, const T* gain, float epsilon, Rows<T> y, float* rstd,
                    std::int64_t columns) {
  const std::int64_t row = blockIdx.x;
  const auto read = [&](std::int64_t column, float(&v)[kN]) { load<kN>(x.row(row) + column, v); };
  const float r = normalise_row<kN>(columns, epsilon, gain, y.row(row), read, read);
  if (threadIdx.x == 0) rstd[row] = r;
}

template <class T, int kN>
__global__ void __launch_bounds__(kRowThreads, 1)
    residual_rms_norm_kernel(Rows<const T> branch, Rows<const T> x, RowDropout dropout, const T* gain,
                             float epsilon, Rows<T> out, Rows<T> y, float* rstd, std::int64_t columns) {
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
  const float r = normalise_row<kN>(columns, epsilon, gain, y.row(row), add, read);
  if (threadIdx.x == 0) rstd[row] = r;
}

}  // namespace

template <class T>
void rms_norm(Rows<const T> x, const T* gain, double epsilon, Rows<T> y, float* rstd, std::int64_t rows,
              std::int64_t columns, cudaStream_t stream) {
  if (rows == 0) return;
  const bool vectors = fit_vectors(columns, x, one_row(gain), y);
  launch(vectors ? rms_norm_kernel<T, kVector<T>> : rms_norm_kernel<T, 1>, static_cast<unsigned>(rows),
         row_threads(columns, vectors ? kVector<T> : 1), 0, stream, x, gain, epsilon, y, rstd, columns);
}

template <class T>
void residual_rms_norm(Rows<const T> branch, Rows<const T> x, const RowDropout& dropout, const T* gain,
                       double epsilon, Rows<T> out, Rows<T> y, float* rstd, std::int64_t rows,
                       std::int64_t columns, cudaStream_t stream) {
  if (rows == 0) return;
  const bool vectors = fit_vectors(columns, branch, x, one_row(gain), out, y);
  launch(vectors ? residual_rms_norm_kernel<T, kVector<T>> : residual_rms_norm_kernel<T, 1>,
         static_cast<unsigned>(rows), row_threads(columns, vectors ? kVector<T> : 1), 0, stream, branch, x,
         dropout, gain, epsilon, out, y, rstd, columns);
}

#define INSTANTIATE(T)                                                                                 \
  template void rms_norm(Rows<const T>, const T*, double, Rows<T>, float*, std::int64_t, std::int64_t, \
                         cudaStream_t);                                                                \
  template void residual_rms_norm(Rows<const T>, Rows<const T>, const RowDropout&, const T*, double,   \
                                  Rows<T>, Rows<T>, float*, std::int64_t, std::int64_t, cudaStream_t);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace headwater::kernels
