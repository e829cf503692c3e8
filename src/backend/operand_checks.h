#pragma once
// Checks that the ops make of their operands (ops.h). They throw InternalError: a block is wrong, not the
// person.

#include "headwater/tensor/tensor_view.h"

#include <string_view>

namespace headwater {

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

inline void check_same_shape(const TensorView& x, const TensorView& y) {
  HW_CHECK(x.shape == y.shape, "{} against {}", to_string(x.shape), to_string(y.shape));
}

}  // namespace headwater
