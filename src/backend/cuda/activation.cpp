// SwiGLU, GELU and ReLU.

#include "headwater/base/error.h"

#include "cuda_catalogue.h"
#include "operands.h"

namespace headwater::cuda {
namespace {

kernels::Activation kernels_name_of(op::ActivationFunction function) {
  switch (function) {
    case op::ActivationFunction::relu: return kernels::Activation::relu;
    case op::ActivationFunction::gelu: return kernels::Activation::gelu;
    case op::ActivationFunction::gelu_tanh: return kernels::Activation::gelu_tanh;
  }
  throw InternalError("no activation {}", static_cast<int>(function));
}

}  // namespace

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

void CudaBackend::enqueue(const op::Activation& o) {
  with_compute_type(o.out.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::activation(kernels_name_of(o.function), rows_of<const T>(o.x), rows_of<T>(o.out), o.out.rows(),
                        o.out.columns(), stream_.get());
  });
}

void CudaBackend::enqueue(const op::ActivationBackward& o) {
  with_compute_type(o.d_out.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::activation_backward(kernels_name_of(o.function), rows_of<const T>(o.d_out),
                                 rows_of<const T>(o.x), rows_of<T>(o.dx), o.d_out.rows(), o.d_out.columns(),
                                 stream_.get());
  });
}

}  // namespace headwater::cuda
