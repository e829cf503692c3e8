// LayerNorm, alone and after a residual sum.

#include "residual_row.cuh"

namespace headwater::kernels {
namespace {

template <class T, int kN>
__global__ void __launch_bounds__(kRowThreads)
    layer_norm_kernel(Rows<const T> x, const T* gain, const T* bias, float epsilon, Rows<T> y, float* mean,
                      float* rstd, std::int64_t rows, std::int64_t columns) {
  const std::int64_t row = shared_row();
  if (row >= rows) return;
  const RowOfMemory<T, kN> source{x.row(row)};
  const float2 moments = layer_norm_row<T, kN>(source, columns, epsilon, gain, bias, y.row(row));
  if (threadIdx.x == 0) mean[row] = moments.x, rstd[row] = moments.y;
}

template <class T, int kN>
__global__ void __launch_bounds__(kRowThreads)
    residual_layer_norm_kernel(Rows<const T> branch, Rows<const T> x, RowDropout dropout, const T* gain,
                               const T* bias, float epsilon, Rows<T> out, Rows<T> y, float* mean, float* rstd,
                               std::int64_t rows, std::int64_t columns) {
  const std::int64_t row = shared_row();
  if (row >= rows) return;
  const ResidualRow<T, kN> source{branch.row(row), x.row(row), DropoutRow(dropout, row, columns),
                                  out.row(row)};
  const float2 moments = layer_norm_row<T, kN>(source, columns, epsilon, gain, bias, y.row(row));
  if (threadIdx.x == 0) mean[row] = moments.x, rstd[row] = moments.y;
}

}  // namespace

template <class T>
void layer_norm(Rows<const T> x, const T* gain, const T* bias, double epsilon, Rows<T> y, float* mean,
                float* rstd, std::int64_t rows, std::int64_t columns, cudaStream_t stream) {
  if (rows == 0) return;
  const bool vectors = fit_vectors(columns, x, one_row(gain), one_row(bias), y);
  const RowShare shape(rows, columns, vectors ? kVector<T> : 1);
  launch(vectors ? layer_norm_kernel<T, kVector<T>> : layer_norm_kernel<T, 1>, shape.grid, shape.block, 0,
         stream, x, gain, bias, epsilon, y, mean, rstd, rows, columns);
}

template <class T>
void residual_layer_norm(Rows<const T> branch, Rows<const T> x, const RowDropout& dropout, const T* gain,
                         const T* bias, double epsilon, Rows<T> out, Rows<T> y, float* mean, float* rstd,
                         std::int64_t rows, std::int64_t columns, cudaStream_t stream) {
  if (rows == 0) return;
  const bool vectors = fit_vectors(columns, branch, x, one_row(gain), one_row(bias), out, y);
  const RowShare shape(rows, columns, vectors ? kVector<T> : 1);
  launch(vectors ? residual_layer_norm_kernel<T, kVector<T>> : residual_layer_norm_kernel<T, 1>, shape.grid,
         shape.block, 0, stream, branch, x, dropout, gain, bias, epsilon, out, y, mean, rstd, rows, columns);
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
