#include "product.h"

#include "headwater/base/error.h"

#include <fmt/format.h>

#include <algorithm>

namespace headwater::cuda {

void check(cublasStatus_t status, std::string_view where, const char* call, const char* file, int line) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw InternalError("{}:{}: {}: {} failed: {}", file, line, where, call, cublasGetStatusString(status));
}

namespace {

cudaDataType_t type_of(DType dtype) {
  HW_CHECK(dtype == DType::f32 || dtype == DType::bf16, "a product of {}", name_of(dtype));
  return dtype == DType::f32 ? CUDA_R_32F : CUDA_R_16BF;
}

LtLayout layout_of(const Operand& x, std::string_view where) {
  cublasLtMatrixLayout_t made = nullptr;
  HW_CUBLAS(where, cublasLtMatrixLayoutCreate(&made, x.type, static_cast<std::uint64_t>(x.rows),
                                              static_cast<std::uint64_t>(x.columns), x.stride));
  return LtLayout(made);
}

}  // namespace

Operand::Operand(const Matrix& m) : type(type_of(m.dtype)) {
  const bool by_rows = m.column_stride == 1;
  HW_CHECK(by_rows || m.row_stride == 1, "strides of {} and {}", m.row_stride, m.column_stride);
  operation = by_rows ? CUBLAS_OP_N : CUBLAS_OP_T;
  rows = by_rows ? m.columns : m.rows;
  columns = by_rows ? m.rows : m.columns;
  stride = std::max(by_rows ? m.row_stride : m.column_stride, rows);  // of one column it says nothing
  const auto address = reinterpret_cast<std::uintptr_t>(m.data);
  alignment = static_cast<std::uint32_t>(std::min<std::uintptr_t>(address & (~address + 1), 256));
}

std::string Operand::name() const {
  return fmt::format("{}{}[{},{}:{}@{}]", type == CUDA_R_32F ? "f32" : "bf16",
                     operation == CUBLAS_OP_T ? "T" : "", rows, columns, stride, alignment);
}

std::string Product::name() const { return fmt::format("{} x {} -> {}", a.name(), b.name(), c.name()); }

ProductLibrary::ProductLibrary(Stream& stream) : stream_(stream) {
  cublasLtHandle_t made = nullptr;
  HW_CUBLAS(stream.name(), cublasLtCreate(&made));
  handle_ = LtHandle(made);
}

ProductDescription ProductLibrary::describe(const Product& p) const {
  ProductDescription description;
  cublasLtMatmulDesc_t product = nullptr;
  HW_CUBLAS(stream_.name(), cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  description.product = LtProduct(product);
  const auto set = [&](cublasLtMatmulDescAttributes_t what, const cublasOperation_t& operation) {
    HW_CUBLAS(stream_.name(), cublasLtMatmulDescSetAttribute(product, what, &operation, sizeof operation));
  };
  set(CUBLASLT_MATMUL_DESC_TRANSA, p.a.operation);
  set(CUBLASLT_MATMUL_DESC_TRANSB, p.b.operation);
  description.a = layout_of(p.a, stream_.name());
  description.b = layout_of(p.b, stream_.name());
  description.c = layout_of(p.c, stream_.name());
  return description;
}

std::vector<cublasLtMatmulAlgo_t> ProductLibrary::proposals(const Product& p, const ProductDescription& d,
                                                            int wanted) const {
  cublasLtMatmulPreference_t made = nullptr;
  HW_CUBLAS(stream_.name(), cublasLtMatmulPreferenceCreate(&made));
  const LtPreference preference(made);
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t what, const auto& value) {
    HW_CUBLAS(stream_.name(), cublasLtMatmulPreferenceSetAttribute(made, what, &value, sizeof value));
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_bytes_);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, p.a.alignment);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, p.b.alignment);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, p.c.alignment);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, p.c.alignment);
  std::vector<cublasLtMatmulHeuristicResult_t> found(static_cast<std::size_t>(wanted));
  int count = 0;
  HW_CUBLAS(stream_.name(),
            cublasLtMatmulAlgoGetHeuristic(handle(), d.product.get(), d.a.get(), d.b.get(), d.c.get(),
                                           d.c.get(), made, wanted, found.data(), &count));
  std::vector<cublasLtMatmulAlgo_t> algorithms;
  for (int i = 0; i < count; ++i)
    if (const auto& each = found[static_cast<std::size_t>(i)]; each.state == CUBLAS_STATUS_SUCCESS)
      algorithms.push_back(each.algo);
  HW_CHECK(!algorithms.empty(), "cuBLASLt has no algorithm for {}", p.name());
  return algorithms;
}

bool ProductLibrary::accepts(const ProductDescription& d, const cublasLtMatmulAlgo_t& algorithm) const {
  cublasLtMatmulHeuristicResult_t result{};
  return cublasLtMatmulAlgoCheck(handle(), d.product.get(), d.a.get(), d.b.get(), d.c.get(), d.c.get(),
                                 &algorithm, &result) == CUBLAS_STATUS_SUCCESS &&
         result.workspaceSize <= workspace_bytes_;
}

void ProductLibrary::multiply(const ProductDescription& d, const cublasLtMatmulAlgo_t& algorithm,
                              const void* a, const void* b, void* c, bool accumulate) const {
  const float alpha = 1.0F, beta = accumulate ? 1.0F : 0.0F;
  HW_CUBLAS(stream_.name(),
            cublasLtMatmul(handle(), d.product.get(), &alpha, a, d.a.get(), b, d.b.get(), &beta, c, d.c.get(),
                           c, d.c.get(), &algorithm, workspace_, workspace_bytes_, stream_.get()));
}

}  // namespace headwater::cuda
