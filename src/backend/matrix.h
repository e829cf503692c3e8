#pragma once
// A window on a matrix, as products of either device take it.

#include "headwater/tensor/tensor_view.h"

namespace headwater {

// One of the two strides is 1, the other at least the length of what runs with stride 1.
struct Matrix {
  void* data = nullptr;
  DType dtype = DType::f32;
  std::int64_t rows = 0, columns = 0;
  std::int64_t row_stride = 0, column_stride = 1;

  Matrix() = default;
  explicit Matrix(const TensorView& x) : Matrix(x.data, x.dtype, x.rows(), x.columns(), x.row_stride, 1) {}
  Matrix(void* memory, DType type, std::int64_t n, std::int64_t m, std::int64_t stride_of_rows,
         std::int64_t stride_of_columns)
      : data(memory),
        dtype(type),
        rows(n),
        columns(m),
        row_stride(stride_of_rows),
        column_stride(stride_of_columns) {}

  Matrix transposed() const { return {data, dtype, columns, rows, column_stride, row_stride}; }
};

}  // namespace headwater
