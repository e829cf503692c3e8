#pragma once
// From tensors to rows of a C++ type.

#include "headwater/tensor/tensor_view.h"

namespace headwater::cpu {

// Row `row` of a matrix of T.
template <class T>
T* row_of(const TensorView& x, std::int64_t row) {
  return static_cast<T*>(x.data) + row * x.row_stride;
}

// body(T()) for the compute dtype: float or bf16. A value converts with static_cast both ways.
template <class Body>
void with_compute_type(DType dtype, const Body& body) {
  HW_CHECK(dtype == DType::f32 || dtype == DType::bf16, "the CPU backend does not compute in {}",
           name_of(dtype));
  if (dtype == DType::f32)
    body(float());
  else
    body(bf16());
}

}  // namespace headwater::cpu
