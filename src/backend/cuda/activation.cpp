// SwiGLU.

#include "cuda_catalogue.h"
#include "operands.h"

namespace headwater::cuda {

void CudaBackend::enqueue(const op::Swiglu& o) {
  with_compute_type(o.out.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::swiglu(rows_of<const T>(o.x), rows_of<T>(o.out), o.out.rows(), o.out.columns(), stream_.get());
  });
}

void CudaBackend::enqueue(const op::SwigluBackward& o) {
  with_compute_type(o.d_out.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::swiglu_backward(rows_of<const T>(o.d_out), rows_of<const T>(o.x), rows_of<T>(o.dx),
                             o.d_out.rows(), o.d_out.columns(), stream_.get());
  });
}

}  // namespace headwater::cuda
