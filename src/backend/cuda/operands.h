#pragma once
// From tensors to what kernels take: pointers and strides of a C++ type.

#include "headwater/tensor/tensor_view.h"

#include "kernels.h"

namespace headwater::cuda {

// body(T()) for the compute dtype: float or kernels::bf16.
template <class Body>
void with_compute_type(DType dtype, const Body& body) {
  HW_CHECK(dtype == DType::f32 || dtype == DType::bf16, "the CUDA backend does not compute in {}",
           name_of(dtype));
  if (dtype == DType::f32)
    body(float());
  else
    body(kernels::bf16());
}

// The same with f64.
template <class Body>
void with_float_type(DType dtype, const Body& body) {
  if (dtype == DType::f64)
    body(double());
  else
    with_compute_type(dtype, body);
}

// The kernels take masters, gradients and statistics in f32 only, where an op's own check also takes f64.
inline void check_f32(const TensorView& x, const char* name) {
  HW_CHECK(x.dtype == DType::f32, "the CUDA backend takes {} in f32, not {}", name, name_of(x.dtype));
}

// Returns x's memory as elements of T, which the caller has found x to hold; null where x is empty.
template <class T>
T* data_of(const TensorView& x) {
  return static_cast<T*>(x.data);
}
template <class T>
kernels::Rows<T> rows_of(const TensorView& x) {
  return {data_of<T>(x), x.row_stride};
}

}  // namespace headwater::cuda
