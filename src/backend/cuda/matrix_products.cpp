#include "matrix_products.h"

#include "headwater/base/error.h"
#include "headwater/base/log.h"
#include "headwater/tensor/cuda/devices.h"

#include "algorithm_timer.h"
#include "cuda_backend.h"
#include "product.h"

#include <array>
#include <bit>
#include <map>
#include <optional>

namespace headwater::cuda {
namespace {

constexpr int kCandidates = 16;  // algorithms that fastest() asks the library for, of one product

std::string device_of(const Stream& stream) {
  const DeviceDescription d = describe(stream.device());
  return fmt::format("{}, compute capability {}.{}", d.name, d.major, d.minor);
}

using Words = std::array<std::uint64_t, 8>;
static_assert(sizeof(Words) == sizeof(cublasLtMatmulAlgo_t));

std::string digits_of(const cublasLtMatmulAlgo_t& algorithm) {
  std::string digits;
  for (const std::uint64_t word : std::bit_cast<Words>(algorithm)) digits += fmt::format("{:016x}", word);
  return digits;
}

cublasLtMatmulAlgo_t algorithm_of(const std::string& digits) {
  Words words{};
  for (std::size_t i = 0; i < words.size(); ++i)
    words[i] = std::stoull(digits.substr(16 * i, 16), nullptr, 16);
  return std::bit_cast<cublasLtMatmulAlgo_t>(words);
}

std::optional<MatmulAlgorithms> read(const std::string& file, const Stream& stream) {
  if (file.empty()) return {};
  MatmulAlgorithms algorithms = read_matmul_algorithms(file);
  if (algorithms.device != device_of(stream))
    throw UserError("{} was measured on {}, but {} is {}: headwater bench matmul measures it there", file,
                    algorithms.device, name_of(stream.device()), device_of(stream));
  if (algorithms.cublaslt != cublaslt_version())
    throw UserError(
        "{} was measured with cuBLASLt {}, but this is cuBLASLt {}: headwater bench matmul measures it again",
        file, algorithms.cublaslt, cublaslt_version());
  return algorithms;
}

}  // namespace

// All that is known of products of one shape.
struct MatrixProducts::Plan {
  Product product;
  ProductDescription description;
  cublasLtMatmulAlgo_t algorithm{};
  // The last one that was made.
  const void *a = nullptr, *b = nullptr;
  void* c = nullptr;
  bool accumulate = false;
};

struct MatrixProducts::Impl {
  Impl(Stream& stream, const std::string& file) : library(stream), algorithms(read(file, stream)) {}

  cublasLtMatmulAlgo_t choose(const Product& product, const ProductDescription& description) const {
    if (algorithms) {
      const auto found = algorithms->products.find(product.name());
      if (found != algorithms->products.end()) {
        const cublasLtMatmulAlgo_t algorithm = algorithm_of(found->second.algorithm);
        if (!library.accepts(description, algorithm))
          throw UserError(
              "{}: cuBLASLt refuses the algorithm for {}; headwater bench matmul measures it again",
              algorithms->file, found->first);
        return algorithm;
      }
      log::info("{} says nothing of {}: the library's rule", algorithms->file, product.name());
    }
    return library.proposals(product, description, 1).front();
  }

  Plan& plan(const Product& product) {
    const auto found = plans.find(product.key());
    if (found != plans.end()) return found->second;
    ProductDescription description = library.describe(product);
    const cublasLtMatmulAlgo_t algorithm = choose(product, description);
    return plans.emplace(product.key(), Plan{product, std::move(description), algorithm}).first->second;
  }

  ProductLibrary library;
  std::optional<MatmulAlgorithms> algorithms;
  std::map<ProductKey, Plan> plans;
};

MatrixProducts::MatrixProducts(Stream& stream, const std::string& file)
    : impl_(std::make_unique<Impl>(stream, file)) {}
MatrixProducts::~MatrixProducts() = default;

void MatrixProducts::use_workspace(void* memory, std::size_t bytes) {
  impl_->library.use_workspace(memory, bytes);
  impl_->plans.clear();
}

void MatrixProducts::multiply(const Matrix& a, const Matrix& b, const Matrix& c, bool accumulate) {
  HW_CHECK(a.columns == b.rows && c.rows == a.rows && c.columns == b.columns && c.column_stride == 1,
           "[{}, {}] times [{}, {}] into [{}, {}]", a.rows, a.columns, b.rows, b.columns, c.rows, c.columns);
  if (c.rows == 0 || c.columns == 0) return;
  Plan& plan = impl_->plan({Operand(b), Operand(a), Operand(c)});
  plan.a = b.data, plan.b = a.data, plan.c = c.data, plan.accumulate = accumulate;
  impl_->library.multiply(plan.description, plan.algorithm, plan.a, plan.b, plan.c, accumulate);
}

MatmulAlgorithms MatrixProducts::fastest() {
  ProductLibrary& library = impl_->library;
  AlgorithmTimer timer(library.stream());
  MatmulAlgorithms algorithms;
  algorithms.device = device_of(library.stream());
  algorithms.cublaslt = cublaslt_version();
  for (const auto& each : impl_->plans) {
    const Plan& plan = each.second;
    MatmulAlgorithms::Product best;
    for (const cublasLtMatmulAlgo_t& algorithm :
         library.proposals(plan.product, plan.description, kCandidates)) {
      const double seconds = timer.median_seconds(
          [&] { library.multiply(plan.description, algorithm, plan.a, plan.b, plan.c, plan.accumulate); });
      if (best.candidates == 0) best.rule_seconds = seconds;
      if (best.candidates++ == 0 || seconds < best.seconds) {
        best.seconds = seconds;
        best.algorithm = digits_of(algorithm);
      }
    }
    algorithms.products[plan.product.name()] = best;
  }
  return algorithms;
}

}  // namespace headwater::cuda

namespace headwater {

std::int64_t cublaslt_version() { return static_cast<std::int64_t>(cublasLtGetVersion()); }

}  // namespace headwater
