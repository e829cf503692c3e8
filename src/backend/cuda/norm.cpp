// Residual sums, dropout and RMSNorm.

#include "cuda_catalogue.h"
#include "dropout.h"

namespace headwater::cuda {

void CudaBackend::rms_norm(TensorView x, TensorView gain, double epsilon, TensorView y, TensorView rstd) {
  const std::int64_t rows = x.rows(), columns = x.columns();
  check_vector(gain, x.dtype, columns, "gain");
  check_matrix(y, x.dtype, rows, columns, "y");
  check_vector(rstd, DType::f32, rows, "rstd");
  with_compute_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::rms_norm(rows_of<const T>(x), data_of<const T>(gain), epsilon, rows_of<T>(y),
                      data_of<float>(rstd), rows, columns, stream_.get());
  });
  launched("rms_norm");
}

void CudaBackend::rms_norm_backward(TensorView dy, TensorView x, TensorView gain, TensorView rstd,
                                    TensorView dx, bool accumulate, TensorView d_gain) {
  const std::int64_t rows = x.rows(), columns = x.columns();
  check_matrix(dy, x.dtype, rows, columns, "dy");
  check_vector(gain, x.dtype, columns, "gain");
  check_vector(rstd, DType::f32, rows, "rstd");
  check_matrix(dx, x.dtype, rows, columns, "dx");
  check_vector(d_gain, DType::f32, columns, "d_gain");
  void* partials = scratch(kernels::column_sums_bytes(rows, columns));
  with_compute_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::rms_norm_backward(rows_of<const T>(dy), rows_of<const T>(x), data_of<const T>(gain),
                               data_of<const float>(rstd), rows_of<T>(dx), accumulate, data_of<float>(d_gain),
                               partials, rows, columns, stream_.get());
  });
  launched("rms_norm_backward");
}

void CudaBackend::residual_add(TensorView branch, TensorView x, const Dropout& dropout, TensorView out) {
  const std::int64_t rows = x.rows(), columns = x.columns();
  check_matrix(branch, x.dtype, rows, columns, "branch");
  check_matrix(out, x.dtype, rows, columns, "out");
  with_compute_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::residual_add(rows_of<const T>(branch), rows_of<const T>(x), mask_of_rows(dropout, x),
                          rows_of<T>(out), rows, columns, stream_.get());
  });
  launched("residual_add");
}

void CudaBackend::residual_rms_norm(TensorView branch, TensorView x, const Dropout& dropout, TensorView gain,
                                    double epsilon, TensorView out, TensorView y, TensorView rstd) {
  const std::int64_t rows = x.rows(), columns = x.columns();
  check_matrix(branch, x.dtype, rows, columns, "branch");
  check_vector(gain, x.dtype, columns, "gain");
  check_matrix(out, x.dtype, rows, columns, "out");
  check_matrix(y, x.dtype, rows, columns, "y");
  check_vector(rstd, DType::f32, rows, "rstd");
  with_compute_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::residual_rms_norm(rows_of<const T>(branch), rows_of<const T>(x), mask_of_rows(dropout, x),
                               data_of<const T>(gain), epsilon, rows_of<T>(out), rows_of<T>(y),
                               data_of<float>(rstd), rows, columns, stream_.get());
  });
  launched("residual_rms_norm");
}

void CudaBackend::dropout_backward(TensorView d_out, const Dropout& dropout, TensorView d_branch) {
  HW_CHECK(dropout.on(), "dropout_backward without dropout");
  check_matrix(d_branch, d_out.dtype, d_out.rows(), d_out.columns(), "d_branch");
  with_compute_type(d_out.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::dropout_backward(rows_of<const T>(d_out), mask_of_rows(dropout, d_out), rows_of<T>(d_branch),
                              d_out.rows(), d_out.columns(), stream_.get());
  });
  launched("dropout_backward");
}

}  // namespace headwater::cuda
