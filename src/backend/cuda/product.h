#pragma once
// A matrix product as cuBLASLt sees it, and what the library says of it.
//
// It counts columns first: what lies row by row is, to it, the transposed matrix, and c = a·b is cᵀ = bᵀ aᵀ.

#include "headwater/tensor/cuda/stream.h"

#include "cublas.h"
#include "matrix.h"

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

namespace headwater::cuda {

// The transpose of a Matrix.
struct Operand {
  cudaDataType_t type = CUDA_R_32F;
  cublasOperation_t operation = CUBLAS_OP_N;
  std::int64_t rows = 0, columns = 0, stride = 0;
  std::uint32_t alignment = 0;  // of its address, bytes, 256 at most

  explicit Operand(const Matrix& m);
  auto key() const { return std::make_tuple(type, operation, rows, columns, stride, alignment); }
  std::string name() const;
};

// The properties that decide which algorithms there are for a product. All products have fp32 sums and no
// epilogue, and write over their addend.
struct Product {
  Operand a, b, c;
  auto key() const { return std::make_tuple(a.key(), b.key(), c.key()); }
  std::string name() const;  // docs/formats/matmul-algorithms.md
};
using ProductKey = decltype(std::declval<Product>().key());

// The library's descriptions of a product.
struct ProductDescription {
  LtProduct product;
  LtLayout a, b, c;
};

class ProductLibrary {
 public:
  explicit ProductLibrary(Stream& stream);

  Stream& stream() const { return stream_; }
  void use_workspace(void* memory, std::size_t bytes) { workspace_ = memory, workspace_bytes_ = bytes; }

  ProductDescription describe(const Product& product) const;
  // The library's own proposals, `wanted` at most, the one of its rule first; InternalError where it has
  // none.
  std::vector<cublasLtMatmulAlgo_t> proposals(const Product& product, const ProductDescription& description,
                                              int wanted) const;
  // Whether the algorithm can take the product, with the workspace that there is.
  bool accepts(const ProductDescription& description, const cublasLtMatmulAlgo_t& algorithm) const;
  void multiply(const ProductDescription& description, const cublasLtMatmulAlgo_t& algorithm, const void* a,
                const void* b, void* c, bool accumulate) const;

 private:
  cublasLtHandle_t handle() const { return handle_.get(); }

  Stream& stream_;
  LtHandle handle_;
  void* workspace_ = nullptr;
  std::size_t workspace_bytes_ = 0;
};

}  // namespace headwater::cuda
