#pragma once
// Checks of what callers hand to an op, and the step from a tensor's dtype to a C++ type.

#include "headwater/tensor/tensor_view.h"

#include <string_view>

namespace headwater::cpu {

// A matrix of so many rows and columns; only the product of the later dimensions counts ([T, A, D] is [T,
// A·D]).
inline void check_matrix(const TensorView& x, DType dtype, std::int64_t rows, std::int64_t columns,
                         std::string_view name) {
  HW_CHECK(x.dtype == dtype && x.rows() == rows && x.columns() == columns, "{} is {} {}, not {} [{}, {}]",
           name, name_of(x.dtype), to_string(x.shape), name_of(dtype), rows, columns);
}

// Dense, of so many elements.
inline void check_vector(const TensorView& x, DType dtype, std::int64_t elements, std::string_view name) {
  HW_CHECK(x.dtype == dtype && x.dense() && x.elements() == elements,
           "{} is {} {} with row stride {}, not {} dense [{}]", name, name_of(x.dtype), to_string(x.shape),
           x.row_stride, name_of(dtype), elements);
}

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
