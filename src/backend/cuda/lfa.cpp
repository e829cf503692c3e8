// Localized filtering: what follows the products of a causal 2-tap convolution.

#include "cuda_catalogue.h"
#include "operands.h"

namespace headwater::cuda {
namespace {

kernels::LfaBorders lfa_borders(const Borders& borders, std::int64_t tokens, std::int64_t samples) {
  HW_CHECK(samples > 0 && tokens % samples == 0, "{} tokens of {} samples", tokens, samples);
  check_vector(borders.start, DType::i32, tokens, "start");
  return {data_of<const std::int32_t>(borders.start), borders.offset, tokens / samples};
}

// The operands of both forward ops; before, bias and residual may be empty.
template <class T>
kernels::Taps<T> taps(const TensorView& products, std::int64_t samples, const TensorView& before,
                      const TensorView& bias, const TensorView& residual) {
  const std::int64_t columns = products.columns() / 2;
  if (before) check_matrix(before, products.dtype, samples, columns, "before");
  if (bias) check_vector(bias, products.dtype, columns, "bias");
  if (residual) check_matrix(residual, products.dtype, products.rows(), columns, "residual");
  return {rows_of<const T>(products), rows_of<const T>(before), data_of<const T>(bias),
          rows_of<const T>(residual)};
}

}  // namespace

void CudaBackend::lfa_taps(TensorView products, const Borders& borders, std::int64_t samples,
                           TensorView before, TensorView bias, TensorView residual, TensorView out) {
  const std::int64_t rows = products.rows(), columns = products.columns() / 2;
  check_matrix(out, products.dtype, rows, columns, "out");
  check_matrix(products, products.dtype, rows, 2 * columns, "products");
  with_compute_type(products.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::lfa_taps(taps<T>(products, samples, before, bias, residual), lfa_borders(borders, rows, samples),
                      rows_of<T>(out), rows, columns, stream_.get());
  });
  launched("lfa_taps");
}

void CudaBackend::lfa_taps_rms_norm(TensorView products, const Borders& borders, std::int64_t samples,
                                    TensorView before, TensorView bias, TensorView residual, TensorView gain,
                                    double epsilon, TensorView z, TensorView y, TensorView rstd) {
  const std::int64_t rows = products.rows(), columns = z.columns();
  check_matrix(products, z.dtype, rows, 2 * columns, "products");
  check_matrix(z, z.dtype, rows, columns, "z");
  check_matrix(y, z.dtype, rows, columns, "y");
  check_vector(gain, z.dtype, columns, "gain");
  check_vector(rstd, DType::f32, rows, "rstd");
  with_compute_type(products.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::lfa_taps_rms_norm(taps<T>(products, samples, before, bias, residual),
                               lfa_borders(borders, rows, samples), data_of<const T>(gain), epsilon,
                               rows_of<T>(z), rows_of<T>(y), data_of<float>(rstd), rows, columns,
                               stream_.get());
  });
  launched("lfa_taps_rms_norm");
}

void CudaBackend::lfa_taps_backward(TensorView d_out, const Borders& borders, std::int64_t samples,
                                    TensorView d_products, TensorView d_before, TensorView d_bias) {
  const std::int64_t rows = d_out.rows(), columns = d_out.columns();
  check_matrix(d_products, d_out.dtype, rows, 2 * columns, "d_products");
  if (d_before) check_matrix(d_before, d_out.dtype, samples, columns, "d_before");
  if (d_bias) check_vector(d_bias, DType::f32, columns, "d_bias");
  void* partials = d_bias ? scratch(kernels::column_sums_bytes(rows, columns)) : nullptr;
  with_compute_type(d_out.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::lfa_taps_backward(rows_of<const T>(d_out), lfa_borders(borders, rows, samples),
                               rows_of<T>(d_products), rows_of<T>(d_before), data_of<float>(d_bias), partials,
                               rows, columns, stream_.get());
  });
  launched("lfa_taps_backward");
}

}  // namespace headwater::cuda
