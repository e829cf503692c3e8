// Localized filtering: what follows the products of a causal 2-tap convolution.

#include "cuda_catalogue.h"
#include "operands.h"

namespace headwater::cuda {
namespace {

kernels::LfaBorders lfa_borders(const Borders& borders, std::int64_t samples) {
  return {data_of<const std::int32_t>(borders.start), borders.offset, borders.start.elements() / samples};
}

template <class T>
kernels::Taps<T> taps_of(const op::LfaTaps& o) {
  return {rows_of<const T>(o.products), rows_of<const T>(o.before), data_of<const T>(o.bias),
          rows_of<const T>(o.residual)};
}

}  // namespace

void CudaBackend::enqueue(const op::LfaTaps& o) {
  with_compute_type(o.out.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::lfa_taps(taps_of<T>(o), lfa_borders(o.borders, o.samples), rows_of<T>(o.out), o.out.rows(),
                      o.out.columns(), stream_.get());
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

void CudaBackend::enqueue(const op::LfaTapsBackward& o) {
  const std::int64_t rows = o.d_out.rows(), columns = o.d_out.columns();
  void* partials = o.d_bias ? scratch(kernels::column_sums_bytes(rows, columns)) : nullptr;
  with_compute_type(o.d_out.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::lfa_taps_backward(rows_of<const T>(o.d_out), lfa_borders(o.borders, o.samples),
                               rows_of<T>(o.d_products), rows_of<T>(o.d_before), data_of<float>(o.d_bias),
                               partials, rows, columns, stream_.get());
  });
}

}  // namespace headwater::cuda
