// cuBLASLt on the CPU: the plain sum of products in fp32, queued on the stream, by one of three algorithms
// that differ in the order of the sum. As strict as the library about shapes, and stricter about alignment:
// what a product was planned for must hold when it runs.

#include "cublasLt.h"

#include "cuda_bf16.h"
#include "emulation/settings.h"
#include "memory.h"
#include "stream.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

namespace emulation {

struct LtHandle {};
struct LtLayout {
  cudaDataType_t type;
  std::int64_t rows, columns, leading;
};
struct LtProduct {
  cublasOperation_t a = CUBLAS_OP_N, b = CUBLAS_OP_N;
};
struct LtPreference {
  std::uint64_t workspace_bytes = 0;
  std::uint32_t alignment[4] = {256, 256, 256, 256};  // of A, B, C, D
};

namespace {

// What an algorithm carries: the alignments that it was chosen for, and which it is.
struct Algorithm {
  std::uint64_t magic = 0;
  std::uint32_t alignment[4] = {};
  std::uint64_t id = 0;
  std::uint64_t unused[4] = {};
};
constexpr std::uint64_t kMagic = 0x4c74416c676f;

// In the order that the rule puts them in: from first to last, from last to first, all even before all odd.
// The last one needs a workspace.
constexpr std::uint64_t kAlgorithms = 3;
std::size_t workspace_of(const Algorithm& algorithm) { return algorithm.id == 2 ? 4096 : 0; }
std::int64_t summand(std::uint64_t algorithm, std::int64_t i, std::int64_t count) {
  if (algorithm == 1) return count - 1 - i;
  const std::int64_t even = (count + 1) / 2;
  return algorithm == 0 ? i : i < even ? 2 * i : 2 * (i - even) + 1;
}

std::int64_t rows_of(const LtLayout& x, cublasOperation_t operation) {
  return operation == CUBLAS_OP_N ? x.rows : x.columns;
}
std::int64_t columns_of(const LtLayout& x, cublasOperation_t operation) {
  return operation == CUBLAS_OP_N ? x.columns : x.rows;
}

bool fits(const LtProduct& p, const LtLayout& a, const LtLayout& b, const LtLayout& c) {
  return rows_of(a, p.a) == c.rows && columns_of(a, p.a) == rows_of(b, p.b) &&
         columns_of(b, p.b) == c.columns && a.type == b.type && (c.type == a.type || c.type == CUDA_R_32F);
}

float element(const void* data, cudaDataType_t type, std::int64_t index) {
  if (type == CUDA_R_32F) return static_cast<const float*>(data)[index];
  return __bfloat162float(static_cast<const __nv_bfloat16*>(data)[index]);
}

// op(X) as floats, column after column.
std::vector<float> gathered(const void* data, const LtLayout& x, cublasOperation_t operation) {
  const std::int64_t rows = rows_of(x, operation), columns = columns_of(x, operation);
  std::vector<float> values(static_cast<std::size_t>(rows * columns));
  for (std::int64_t column = 0; column < columns; ++column)
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t at = operation == CUBLAS_OP_N ? column * x.leading + row : row * x.leading + column;
      values[static_cast<std::size_t>(column * rows + row)] = element(data, x.type, at);
    }
  return values;
}

void multiply(std::uint64_t algorithm, const LtProduct& p, const void* A, const LtLayout& a, const void* B,
              const LtLayout& b, float beta, void* D, const LtLayout& d) {
  const std::int64_t m = d.rows, n = d.columns, depth = columns_of(a, p.a);
  const std::vector<float> left = gathered(A, a, p.a);   // [depth][m]
  const std::vector<float> right = gathered(B, b, p.b);  // [n][depth]
  std::vector<float> sum(static_cast<std::size_t>(m));
  for (std::int64_t column = 0; column < n; ++column) {
    std::fill(sum.begin(), sum.end(), 0.0F);
    for (std::int64_t i = 0; i < depth; ++i) {
      const std::int64_t k = summand(algorithm, i, depth);
      const float factor = right[static_cast<std::size_t>(column * depth + k)];
      const float* const x = left.data() + k * m;
      for (std::int64_t row = 0; row < m; ++row) sum[static_cast<std::size_t>(row)] += x[row] * factor;
    }
    for (std::int64_t row = 0; row < m; ++row) {
      const std::int64_t at = column * d.leading + row;
      const float value =
          sum[static_cast<std::size_t>(row)] + (beta == 0.0F ? 0.0F : beta * element(D, d.type, at));
      if (d.type == CUDA_R_32F)
        static_cast<float*>(D)[at] = value;
      else
        static_cast<__nv_bfloat16*>(D)[at] = __float2bfloat16_rn(value);
    }
    const std::size_t size = d.type == CUDA_R_32F ? sizeof(float) : sizeof(__nv_bfloat16);
    note_written(static_cast<unsigned char*>(D) + static_cast<std::size_t>(column * d.leading) * size,
                 static_cast<std::size_t>(m) * size);
  }
}

bool aligned(const void* address, std::uint32_t to) {
  return reinterpret_cast<std::uintptr_t>(address) % to == 0;
}

}  // namespace
}  // namespace emulation

using emulation::Algorithm;

const char* cublasGetStatusString(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "success";
    case CUBLAS_STATUS_INVALID_VALUE: return "an invalid value";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "not supported";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "execution failed";
    default: return "not initialized";
  }
}

std::size_t cublasLtGetVersion() { return emulation::settings().cublaslt; }

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = new emulation::LtHandle;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type,
                                          std::uint64_t rows, std::uint64_t columns, std::int64_t leading) {
  if (rows == 0 || columns == 0 || leading < static_cast<std::int64_t>(rows))
    return CUBLAS_STATUS_INVALID_VALUE;
  *layout = new emulation::LtLayout{type, static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns),
                                    leading};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete layout;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* product, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
  if (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
  *product = new emulation::LtProduct;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t product) {
  delete product;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t product,
                                              cublasLtMatmulDescAttributes_t attribute, const void* value,
                                              std::size_t bytes) {
  if (bytes != sizeof(std::int32_t)) return CUBLAS_STATUS_INVALID_VALUE;
  (attribute == CUBLASLT_MATMUL_DESC_TRANSA ? product->a : product->b) =
      *static_cast<const cublasOperation_t*>(value);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = new emulation::LtPreference;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, std::size_t bytes) {
  if (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) {
    if (bytes != sizeof preference->workspace_bytes) return CUBLAS_STATUS_INVALID_VALUE;
    std::memcpy(&preference->workspace_bytes, value, bytes);
  } else {
    if (bytes != sizeof preference->alignment[0]) return CUBLAS_STATUS_INVALID_VALUE;
    std::memcpy(&preference->alignment[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value, bytes);
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t product,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int* found) {
  if (wanted < 1 || !emulation::fits(*product, *a, *b, *c)) return CUBLAS_STATUS_INVALID_VALUE;
  Algorithm algorithm;
  algorithm.magic = emulation::kMagic;
  std::copy(std::begin(preference->alignment), std::end(preference->alignment), algorithm.alignment);
  *found = 0;
  for (; algorithm.id < emulation::kAlgorithms && *found < wanted; ++algorithm.id) {
    if (emulation::workspace_of(algorithm) > preference->workspace_bytes) continue;
    cublasLtMatmulHeuristicResult_t& result = results[(*found)++];
    result = {};
    result.algo = std::bit_cast<cublasLtMatmulAlgo_t>(algorithm);
    result.workspaceSize = emulation::workspace_of(algorithm);
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t product,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t* chosen,
                                       cublasLtMatmulHeuristicResult_t* result) {
  const auto algorithm = std::bit_cast<Algorithm>(*chosen);
  if (!emulation::fits(*product, *a, *b, *d) || c != d) return CUBLAS_STATUS_INVALID_VALUE;
  if (algorithm.magic != emulation::kMagic || algorithm.id >= emulation::kAlgorithms)
    return CUBLAS_STATUS_NOT_SUPPORTED;
  *result = {};
  result->workspaceSize = emulation::workspace_of(algorithm);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t product, const void* alpha,
                              const void* A, cublasLtMatrixLayout_t a, const void* B,
                              cublasLtMatrixLayout_t b, const void* beta, const void* C,
                              cublasLtMatrixLayout_t c, void* D, cublasLtMatrixLayout_t d,
                              const cublasLtMatmulAlgo_t* chosen, void* workspace,
                              std::size_t workspace_bytes, cudaStream_t stream) {
  const auto algorithm = std::bit_cast<Algorithm>(*chosen);
  if (C != D || c != d || !emulation::fits(*product, *a, *b, *d) || *static_cast<const float*>(alpha) != 1.0F)
    return CUBLAS_STATUS_NOT_SUPPORTED;
  if (algorithm.id >= emulation::kAlgorithms || emulation::workspace_of(algorithm) > workspace_bytes ||
      (emulation::workspace_of(algorithm) > 0 && workspace == nullptr))
    return CUBLAS_STATUS_INVALID_VALUE;
  if (algorithm.magic != emulation::kMagic || !emulation::aligned(A, algorithm.alignment[0]) ||
      !emulation::aligned(B, algorithm.alignment[1]) || !emulation::aligned(D, algorithm.alignment[3]))
    return CUBLAS_STATUS_INVALID_VALUE;
  const emulation::StreamLock lock;
  emulation::Stream* const queue = emulation::find_stream(stream);
  if (queue == nullptr) return CUBLAS_STATUS_EXECUTION_FAILED;
  emulation::Work work;
  work.run = [=, id = algorithm.id, p = *product, la = *a, lb = *b, ld = *d,
              factor = *static_cast<const float*>(beta)] {
    emulation::multiply(id, p, A, la, B, lb, factor, D, ld);
  };
  emulation::enqueue(queue, std::move(work));
  return CUBLAS_STATUS_SUCCESS;
}
