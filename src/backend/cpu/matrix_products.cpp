#include "matrix_products.h"

#include "headwater/base/error.h"

#include <dnnl.hpp>

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace headwater::cpu {
namespace {

using Layout = std::tuple<DType, std::int64_t, std::int64_t, std::int64_t, std::int64_t>;

Layout layout_of(const Matrix& m) { return {m.dtype, m.rows, m.columns, m.row_stride, m.column_stride}; }

dnnl::memory::desc describe(const Matrix& m) {
  const auto dtype = m.dtype == DType::bf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
  return {{m.rows, m.columns}, dtype, dnnl::memory::dims{m.row_stride, m.column_stride}};
}

}  // namespace

struct MatrixProducts::Impl {
  int threads;
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::map<std::tuple<Layout, Layout, Layout, bool>, dnnl::matmul> primitives;

  const dnnl::matmul& primitive(const Matrix& a, const Matrix& b, const Matrix& c, bool accumulate) {
    const auto key = std::make_tuple(layout_of(a), layout_of(b), layout_of(c), accumulate);
    if (const auto found = primitives.find(key); found != primitives.end()) return found->second;
    dnnl::primitive_attr attributes;
    if (accumulate) {
      dnnl::post_ops after;
      after.append_sum(1.0F);
      attributes.set_post_ops(after);
    }
    const dnnl::matmul::desc description(describe(a), describe(b), describe(c));
    const dnnl::matmul::primitive_desc chosen(description, attributes, engine);
    return primitives.emplace(key, dnnl::matmul(chosen)).first->second;
  }

  void multiply_bf16(const Matrix& a, const Matrix& b, const Matrix& c, bool accumulate) {
    const auto memory = [&](const Matrix& m) { return dnnl::memory(describe(m), engine, m.data); };
    primitive(a, b, c, accumulate)
        .execute(stream,
                 {{DNNL_ARG_SRC, memory(a)}, {DNNL_ARG_WEIGHTS, memory(b)}, {DNNL_ARG_DST, memory(c)}});
    stream.wait();
  }
};

namespace {

// An operand in the terms of BLAS.
struct BlasOperand {
  char transposed;
  std::int64_t leading;
  const float* data;

  explicit BlasOperand(const Matrix& m)
      : transposed(m.column_stride == 1 ? 'N' : 'T'),
        // The stride of a single row says nothing.
        leading(m.column_stride != 1 ? m.column_stride : std::max(m.row_stride, m.rows == 1 ? m.columns : 1)),
        data(static_cast<const float*>(m.data)) {}
};

void multiply_f32(const Matrix& a, const Matrix& b, const Matrix& c, bool accumulate) {
  const BlasOperand left(a), right(b);
  const dnnl::status status = dnnl::sgemm(
      left.transposed, right.transposed, c.rows, c.columns, a.columns, 1.0F, left.data, left.leading,
      right.data, right.leading, accumulate ? 1.0F : 0.0F, static_cast<float*>(c.data), c.row_stride);
  HW_CHECK(status == dnnl::status::success, "oneDNN's sgemm: status {}", static_cast<int>(status));
}

}  // namespace

MatrixProducts::MatrixProducts(int threads) : impl_(std::make_unique<Impl>()) { impl_->threads = threads; }

MatrixProducts::~MatrixProducts() = default;

// All on plain memory, without packed weights. Over the products of a 124M model (oneDNN 2.6.3, Zen 5, share
// of a 2048³ product): f32 by sgemm 96 % to 108 %, by the matmul primitive 61 % to 108 % (least for long sums
// of the input gradient) and no better with formats of its choice; bf16, which only the primitive has, 81 %
// to 108 % on plain memory, the same or less with formats of its choice and the reorders they need.
void MatrixProducts::multiply(const Matrix& a, const Matrix& b, const Matrix& c, bool accumulate) {
  HW_CHECK(a.columns == b.rows && a.rows == c.rows && b.columns == c.columns && c.column_stride == 1,
           "a product of [{}, {}] and [{}, {}] in [{}, {}]", a.rows, a.columns, b.rows, b.columns, c.rows,
           c.columns);
  HW_CHECK(a.dtype == b.dtype && (c.dtype == a.dtype || c.dtype == DType::f32),
           "a product of {} and {} in {}", name_of(a.dtype), name_of(b.dtype), name_of(c.dtype));
  if (c.rows == 0 || c.columns == 0) return;
#ifdef _OPENMP
  omp_set_num_threads(impl_->threads);  // oneDNN asks for the calling thread's number
#endif
  if (a.dtype == DType::f32)
    multiply_f32(a, b, c, accumulate);
  else
    impl_->multiply_bf16(a, b, c, accumulate);
}

}  // namespace headwater::cpu
