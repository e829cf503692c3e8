// Residual sums with dropout of the branch, and its backward.

#include "dropout_rows.cuh"
#include "rows.cuh"

namespace headwater::kernels {
namespace {

template <class T, int kN>
__global__ void __launch_bounds__(256)
    residual_add_kernel(Rows<const T> branch, Rows<const T> x, RowDropout dropout, Rows<T> out,
                        std::int64_t rows, std::int64_t columns) {
  for_each_chunk<kN>(rows, columns, [&](std::int64_t row, std::int64_t column) {
    float v[kN], skip[kN];
    load_once<kN>(branch.row(row) + column, v);
    load<kN>(x.row(row) + column, skip);  // `out` may be x
    DropoutRow(dropout, row, columns).apply(column, v);
    for (int i = 0; i < kN; ++i) v[i] += skip[i];
    store<kN>(out.row(row) + column, v);
  });
}

template <class T, int kN>
__global__ void __launch_bounds__(256)
    dropout_backward_kernel(Rows<const T> d_out, RowDropout dropout, Rows<T> d_branch, std::int64_t rows,
                            std::int64_t columns) {
  for_each_chunk<kN>(rows, columns, [&](std::int64_t row, std::int64_t column) {
    float v[kN];
    load<kN>(d_out.row(row) + column, v);
    DropoutRow(dropout, row, columns).apply(column, v);
    store<kN>(d_branch.row(row) + column, v);
  });
}

}  // namespace

template <class T>
void residual_add(Rows<const T> branch, Rows<const T> x, const RowDropout& dropout, Rows<T> out,
                  std::int64_t rows, std::int64_t columns, cudaStream_t stream) {
  if (rows == 0 || columns == 0) return;
  const bool vectors = fit_vectors(columns, branch, x, out);
  const RowGrid shape(rows, columns, vectors ? kVector<T> : 1);
  launch(vectors ? residual_add_kernel<T, kVector<T>> : residual_add_kernel<T, 1>, shape.grid, shape.threads,
         0, stream, branch, x, dropout, out, rows, columns);
}

template <class T>
void dropout_backward(Rows<const T> d_out, const RowDropout& dropout, Rows<T> d_branch, std::int64_t rows,
                      std::int64_t columns, cudaStream_t stream) {
  if (rows == 0 || columns == 0) return;
  const bool vectors = fit_vectors(columns, d_out, d_branch);
  const RowGrid shape(rows, columns, vectors ? kVector<T> : 1);
  launch(vectors ? dropout_backward_kernel<T, kVector<T>> : dropout_backward_kernel<T, 1>, shape.grid,
         shape.threads, 0, stream, d_out, dropout, d_branch, rows, columns);
}

#define INSTANTIATE(T)                                                                                  \
  template void residual_add(Rows<const T>, Rows<const T>, const RowDropout&, Rows<T>, std::int64_t,    \
                             std::int64_t, cudaStream_t);                                               \
  template void dropout_backward(Rows<const T>, const RowDropout&, Rows<T>, std::int64_t, std::int64_t, \
                                 cudaStream_t);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace headwater::kernels
