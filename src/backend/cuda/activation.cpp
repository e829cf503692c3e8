// SwiGLU.

#include "cuda_catalogue.h"
#include "operands.h"

namespace headwater::cuda {

void CudaBackend::swiglu(TensorView x, TensorView out) {
  check_matrix(x, out.dtype, out.rows(), 2 * out.columns(), "x");
  with_compute_type(out.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::swiglu(rows_of<const T>(x), rows_of<T>(out), out.rows(), out.columns(), stream_.get());
  });
  launched("swiglu");
}

void CudaBackend::swiglu_backward(TensorView d_out, TensorView x, TensorView dx) {
  const std::int64_t rows = d_out.rows(), columns = d_out.columns();
  check_matrix(x, d_out.dtype, rows, 2 * columns, "x");
  check_matrix(dx, d_out.dtype, rows, 2 * columns, "dx");
  with_compute_type(d_out.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::swiglu_backward(rows_of<const T>(d_out), rows_of<const T>(x), rows_of<T>(dx), rows, columns,
                             stream_.get());
  });
  launched("swiglu_backward");
}

}  // namespace headwater::cuda
