#pragma once
// Matrix products by cuBLASLt, on one stream. Which of the library's algorithms takes a product is what a
// file says (matmul_algorithms.h), or follows from its shape, strides, alignment and the workspace by the
// library's own rule. A run times nothing, so that the same layout gives the same bits. Belongs to the thread
// of its stream.

#include "headwater/backend/matmul_algorithms.h"
#include "headwater/tensor/cuda/stream.h"

#include "matrix.h"

#include <memory>
#include <string>

namespace headwater::cuda {

class MatrixProducts {
 public:
  // `file`: of algorithms; empty: the library's rule for all. UserError where it was written for another
  // device or library.
  MatrixProducts(Stream& stream, const std::string& file);
  ~MatrixProducts();

  // Takes memory of the device, 256-byte aligned. It is called before the first product.
  void use_workspace(void* memory, std::size_t bytes);
  // c = a·b, or c += a·b. a and b are of one dtype, f32 or bf16; c is of theirs or f32, its columns side by
  // side; sums are f32 (f32 operands as they are, not rounded to tf32).
  void multiply(const Matrix& a, const Matrix& b, const Matrix& c, bool accumulate);

  // The fastest algorithms of all products that were made so far, each timed on the memory that it was last
  // made on, which is written over.
  MatmulAlgorithms fastest();

 private:
  struct Plan;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace headwater::cuda
