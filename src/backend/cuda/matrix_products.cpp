#include "matrix_products.h"

#include "cublas.h"

#include "headwater/base/error.h"

#include <algorithm>
#include <map>
#include <tuple>

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

// The library counts columns first. What lies row by row is, to it, the transposed matrix.
struct Operand {
  cudaDataType_t type = CUDA_R_32F;
  cublasOperation_t operation = CUBLAS_OP_N;
  std::int64_t rows = 0, columns = 0, stride = 0;
  std::uint32_t alignment = 0;

  // The transpose of `m`.
  explicit Operand(const Matrix& m) : type(type_of(m.dtype)) {
    const bool by_rows = m.column_stride == 1;
    HW_CHECK(by_rows || m.row_stride == 1, "strides of {} and {}", m.row_stride, m.column_stride);
    operation = by_rows ? CUBLAS_OP_N : CUBLAS_OP_T;
    rows = by_rows ? m.columns : m.rows;
    columns = by_rows ? m.rows : m.columns;
    stride = std::max(by_rows ? m.row_stride : m.column_stride, rows);  // of one column it says nothing
    const auto address = reinterpret_cast<std::uintptr_t>(m.data);
    alignment = static_cast<std::uint32_t>(std::min<std::uintptr_t>(address & (~address + 1), 256));
  }
  auto key() const { return std::make_tuple(type, operation, rows, columns, stride, alignment); }
};

using OperandKey = decltype(std::declval<Operand>().key());
using ProductKey = std::tuple<OperandKey, OperandKey, OperandKey>;

}  // namespace

struct MatrixProducts::Impl {
  // What is known of products of one shape.
  struct Plan {
    LtProduct product;
    LtLayout a, b, c;
    cublasLtMatmulAlgo_t algorithm{};
  };

  explicit Impl(Stream& on) : stream(on) {
    cublasLtHandle_t made = nullptr;
    HW_CUBLAS(stream.name(), cublasLtCreate(&made));
    handle = LtHandle(made);
  }

  LtLayout layout(const Operand& x) const {
    cublasLtMatrixLayout_t made = nullptr;
    HW_CUBLAS(stream.name(), cublasLtMatrixLayoutCreate(&made, x.type, static_cast<std::uint64_t>(x.rows),
                                                        static_cast<std::uint64_t>(x.columns), x.stride));
    return LtLayout(made);
  }

  Plan plan(const Operand& a, const Operand& b, const Operand& c) const {
    Plan plan;
    cublasLtMatmulDesc_t product = nullptr;
    HW_CUBLAS(stream.name(), cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    plan.product = LtProduct(product);
    HW_CUBLAS(stream.name(), cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_TRANSA, &a.operation, sizeof a.operation));
    HW_CUBLAS(stream.name(), cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_TRANSB, &b.operation, sizeof b.operation));
    plan.a = layout(a);
    plan.b = layout(b);
    plan.c = layout(c);

    cublasLtMatmulPreference_t wanted = nullptr;
    HW_CUBLAS(stream.name(), cublasLtMatmulPreferenceCreate(&wanted));
    const LtPreference preference(wanted);
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t what, const auto& value) {
      HW_CUBLAS(stream.name(), cublasLtMatmulPreferenceSetAttribute(wanted, what, &value, sizeof value));
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_bytes);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, a.alignment);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, b.alignment);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, c.alignment);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, c.alignment);
    cublasLtMatmulHeuristicResult_t found{};
    int count = 0;
    HW_CUBLAS(stream.name(), cublasLtMatmulAlgoGetHeuristic(handle.get(), product, plan.a.get(), plan.b.get(), plan.c.get(),
                                                            plan.c.get(), wanted, 1, &found, &count));
    HW_CHECK(count == 1 && found.state == CUBLAS_STATUS_SUCCESS, "cuBLASLt has no algorithm for [{}, {}] times [{}, {}]",
             b.columns, b.rows, a.columns, a.rows);
    plan.algorithm = found.algo;
    return plan;
  }

  Stream& stream;
  LtHandle handle;
  void* workspace = nullptr;
  std::size_t workspace_bytes = 0;
  std::map<ProductKey, Plan> plans;
};

MatrixProducts::MatrixProducts(Stream& stream) : impl_(std::make_unique<Impl>(stream)) {}
MatrixProducts::~MatrixProducts() = default;

void MatrixProducts::use_workspace(void* memory, std::size_t bytes) {
  impl_->workspace = memory;
  impl_->workspace_bytes = bytes;
  impl_->plans.clear();
}

void MatrixProducts::multiply(const Matrix& a, const Matrix& b, const Matrix& c, bool accumulate) {
  HW_CHECK(a.columns == b.rows && c.rows == a.rows && c.columns == b.columns && c.column_stride == 1,
           "[{}, {}] times [{}, {}] into [{}, {}]", a.rows, a.columns, b.rows, b.columns, c.rows, c.columns);
  if (c.rows == 0 || c.columns == 0) return;
  // cᵀ = bᵀ aᵀ
  const Operand first(b), second(a), out(c);
  const ProductKey key(first.key(), second.key(), out.key());
  auto plan = impl_->plans.find(key);
  if (plan == impl_->plans.end()) plan = impl_->plans.emplace(key, impl_->plan(first, second, out)).first;
  const float alpha = 1.0F, beta = accumulate ? 1.0F : 0.0F;
  const Impl::Plan& p = plan->second;
  HW_CUBLAS(impl_->stream.name(),
            cublasLtMatmul(impl_->handle.get(), p.product.get(), &alpha, b.data, p.a.get(), a.data, p.b.get(), &beta, c.data,
                           p.c.get(), c.data, p.c.get(), &p.algorithm, impl_->workspace, impl_->workspace_bytes,
                           impl_->stream.get()));
}

}  // namespace headwater::cuda
