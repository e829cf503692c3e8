#pragma once
// Matrix products by oneDNN, its primitives kept by shape. Belongs to one thread.

#include "headwater/tensor/dtype.h"

#include <cstdint>
#include <memory>

namespace headwater::cpu {

// A window on a matrix; one of the two strides is 1, the other at least the length of what runs with
// stride 1.
struct Matrix {
  void* data = nullptr;
  DType dtype = DType::f32;
  std::int64_t rows = 0, columns = 0;
  std::int64_t row_stride = 0, column_stride = 1;

  Matrix transposed() const { return {data, dtype, columns, rows, column_stride, row_stride}; }
};

class MatrixProducts {
 public:
  explicit MatrixProducts(int threads);
  ~MatrixProducts();

  // c = a·b, or c += a·b. a and b are of one dtype, f32 or bf16; c is of theirs or f32; sums are f32.
  void multiply(const Matrix& a, const Matrix& b, const Matrix& c, bool accumulate);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace headwater::cpu
