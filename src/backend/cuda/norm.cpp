// RMSNorm and the ops that end in one; residual sums and their dropout.

#include "cuda_catalogue.h"
#include "dropout.h"
#include "lfa_taps.h"

namespace headwater::cuda {

void CudaBackend::enqueue(const op::Norm& o) {
  with_compute_type(o.x.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::rms_norm(rows_of<const T>(o.x), data_of<const T>(o.norm.gain), o.norm.epsilon,
                      rows_of<T>(o.norm.y), data_of<float>(o.norm.rstd), o.x.rows(), o.x.columns(),
                      stream_.get());
  });
}

void CudaBackend::enqueue(const op::NormBackward& o) {
  const std::int64_t rows = o.x.rows(), columns = o.x.columns();
  void* partials = scratch(kernels::column_sums_bytes(rows, columns));
  with_compute_type(o.x.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::rms_norm_backward(rows_of<const T>(o.dy), rows_of<const T>(o.x), data_of<const T>(o.norm.gain),
                               data_of<const float>(o.norm.rstd), rows_of<const T>(o.addend),
                               rows_of<T>(o.dx), data_of<float>(o.norm.d_gain), partials, rows, columns,
                               stream_.get());
  });
}

void CudaBackend::enqueue(const op::ResidualAdd& o) {
  const std::int64_t rows = o.x.rows();
  with_compute_type(o.x.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::residual_add(rows_of<const T>(o.branch), rows_of<const T>(o.x), mask_of_rows(o.dropout, rows),
                          rows_of<T>(o.out), rows, o.x.columns(), stream_.get());
  });
}

void CudaBackend::enqueue(const op::ResidualNorm& o) {
  const op::ResidualAdd& sum = o.sum;
  const NormArguments& norm = o.norm;
  const std::int64_t rows = sum.x.rows();
  with_compute_type(sum.x.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::residual_rms_norm(rows_of<const T>(sum.branch), rows_of<const T>(sum.x),
                               mask_of_rows(sum.dropout, rows), data_of<const T>(norm.gain), norm.epsilon,
                               rows_of<T>(sum.out), rows_of<T>(norm.y), data_of<float>(norm.rstd), rows,
                               sum.x.columns(), stream_.get());
  });
}

void CudaBackend::enqueue(const op::LfaTapsNorm& o) {
  const op::LfaTaps& taps = o.taps;
  const NormArguments& norm = o.norm;
  with_compute_type(taps.out.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::lfa_taps_rms_norm(taps_of<T>(taps), lfa_borders(taps.borders, taps.samples),
                               data_of<const T>(norm.gain), norm.epsilon, rows_of<T>(taps.out),
                               rows_of<T>(norm.y), data_of<float>(norm.rstd), taps.out.rows(),
                               taps.out.columns(), stream_.get());
  });
}

void CudaBackend::enqueue(const op::DropoutBackward& o) {
  const std::int64_t rows = o.d_out.rows();
  with_compute_type(o.d_out.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::dropout_backward(rows_of<const T>(o.d_out), mask_of_rows(o.dropout, rows),
                              rows_of<T>(o.d_branch), rows, o.d_out.columns(), stream_.get());
  });
}

}  // namespace headwater::cuda
