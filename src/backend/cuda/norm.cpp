// Norms and the ops that end in one; residual sums and their dropout.

#include "cuda_catalogue.h"
#include "dropout.h"
#include "lfa_taps.h"

namespace headwater::cuda {

void CudaBackend::enqueue(const op::Norm& o) {
  with_compute_type(o.x.dtype, [&](auto type) {
    using T = decltype(type);
    const NormArguments& norm = o.norm;
    const auto x = rows_of<const T>(o.x);
    const auto* gain = data_of<const T>(norm.gain);
    const auto y = rows_of<T>(norm.y);
    auto* rstd = data_of<float>(norm.rstd);
    if (norm.mean)
      kernels::layer_norm(x, gain, data_of<const T>(norm.bias), norm.epsilon, y, data_of<float>(norm.mean),
                          rstd, o.x.rows(), o.x.columns(), stream_.get());
    else
      kernels::rms_norm(x, gain, norm.epsilon, y, rstd, o.x.rows(), o.x.columns(), stream_.get());
  });
}

void CudaBackend::enqueue(const op::NormBackward& o) {
  const std::int64_t rows = o.x.rows(), columns = o.x.columns();
  const NormBackwardArguments& norm = o.norm;
  void* partials = scratch((norm.mean ? 2 : 1) * kernels::column_sums_bytes(rows, columns));
  with_compute_type(o.x.dtype, [&](auto type) {
    using T = decltype(type);
    const auto dy = rows_of<const T>(o.dy), x = rows_of<const T>(o.x), addend = rows_of<const T>(o.addend);
    const auto* gain = data_of<const T>(norm.gain);
    const auto* rstd = data_of<const float>(norm.rstd);
    const auto dx = rows_of<T>(o.dx);
    auto* d_gain = data_of<float>(norm.d_gain);
    if (norm.mean)
      kernels::layer_norm_backward(dy, x, gain, data_of<const float>(norm.mean), rstd, addend, dx, d_gain,
                                   data_of<float>(norm.d_bias), partials, rows, columns, stream_.get());
    else
      kernels::rms_norm_backward(dy, x, gain, rstd, addend, dx, d_gain, partials, rows, columns,
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
  const std::int64_t rows = sum.x.rows(), columns = sum.x.columns();
  with_compute_type(sum.x.dtype, [&](auto type) {
    using T = decltype(type);
    const auto branch = rows_of<const T>(sum.branch), x = rows_of<const T>(sum.x);
    const kernels::RowDropout dropout = mask_of_rows(sum.dropout, rows);
    const auto* gain = data_of<const T>(norm.gain);
    const auto out = rows_of<T>(sum.out), y = rows_of<T>(norm.y);
    auto* rstd = data_of<float>(norm.rstd);
    if (norm.mean)
      kernels::residual_layer_norm(branch, x, dropout, gain, data_of<const T>(norm.bias), norm.epsilon, out,
                                   y, data_of<float>(norm.mean), rstd, rows, columns, stream_.get());
    else
      kernels::residual_rms_norm(branch, x, dropout, gain, norm.epsilon, out, y, rstd, rows, columns,
                                 stream_.get());
  });
}

// The taps and RMSNorm are one kernel, with LayerNorm they are two.
void CudaBackend::enqueue(const op::LfaTapsNorm& o) {
  const op::LfaTaps& taps = o.taps;
  const NormArguments& norm = o.norm;
  if (norm.mean) {
    enqueue(taps);
    return enqueue(op::Norm{.x = taps.out, .norm = norm});
  }
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
