// Localized filtering: what follows the products of a causal 2-tap convolution.

#include "cuda_catalogue.h"
#include "lfa_taps.h"

namespace headwater::cuda {
void CudaBackend::enqueue(const op::LfaTaps& o) {
  with_compute_type(o.out.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::lfa_taps(taps_of<T>(o), lfa_borders(o.borders, o.samples), rows_of<T>(o.out), o.out.rows(),
                      o.out.columns(), stream_.get());
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
