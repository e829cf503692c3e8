// RMSNorm, alone and after a residual sum.

#include "residual_row.cuh"

namespace headwater::kernels {
namespace {

template <class T, int kN>
__global__ void __launch_bounds__(kRowThreads)
    rms_norm_kernel(Rows<const T> x, const T* gain, float epsilon, Rows<T> y, float* rstd, std::int64_t rows,
                    std::int64_t columns) {
  const std::int64_t row = shared_row();
  if (row >= rows) return;
  const RowOfMemory<T, kN> source{x.row(row)};
  const float r = rms_norm_row<T, kN>(source, columns, epsilon, gain, y.row(row));
  if (threadIdx.x == 0) rstd[row] = r;
}

template <class T, int kN>
__global__ void __launch_bounds__(kRowThreads)
    residual_rms_norm_kernel(Rows<const T> branch, Rows<const T> x, RowDropout dropout, const T* gain,
                             float epsilon, Rows<T> out, Rows<T> y, float* rstd, std::int64_t rows,
                             std::int64_t columns) {
  const std::int64_t row = shared_row();
  if (row >= rows) return;
  const ResidualRow<T, kN> source{branch.row(row), x.row(row), DropoutRow(dropout, row, columns),
                                  out.row(row)};
  const float r = rms_norm_row<T, kN>(source, columns, epsilon, gain, y.row(row));
  if (threadIdx.x == 0) rstd[row] = r;
}

}  // namespace

template <class T>
void rms_norm(Rows<const T> x, const T* gain, double epsilon, Rows<T> y, float* rstd, std::int64_t rows,
              std::int64_t columns, cudaStream_t stream) {
  if (rows == 0) return;
  const bool vectors = fit_vectors(columns, x, one_row(gain), y);
  const RowShare shape(rows, columns, vectors ? kVector<T> : 1);
  launch(vectors ? rms_norm_kernel<T, kVector<T>> : rms_norm_kernel<T, 1>, shape.grid, shape.block, 0, stream,
         x, gain, epsilon, y, rstd, rows, columns);
}

template <class T>
void residual_rms_norm(Rows<const T> branch, Rows<const T> x, const RowDropout& dropout, const T* gain,
                       double epsilon, Rows<T> out, Rows<T> y, float* rstd, std::int64_t rows,
                       std::int64_t columns, cudaStream_t stream) {
  if (rows == 0) return;
  const bool vectors = fit_vectors(columns, branch, x, one_row(gain), out, y);
  const RowShare shape(rows, columns, vectors ? kVector<T> : 1);
  launch(vectors ? residual_rms_norm_kernel<T, kVector<T>> : residual_rms_norm_kernel<T, 1>, shape.grid,
         shape.block, 0, stream, branch, x, dropout, gain, epsilon, out, y, rstd, rows, columns);
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
