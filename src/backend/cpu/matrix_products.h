#pragma once
// Matrix products by oneDNN, its primitives kept by shape. Belongs to one thread.

#include "matrix.h"

#include <cstdint>
#include <memory>

namespace headwater::cpu {

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
