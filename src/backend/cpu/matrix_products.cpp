#include "matrix_products.h"

#include "headwater/base/error.h"

#include <dnnl.hpp>

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
};

MatrixProducts::MatrixProducts(int threads) : impl_(std::make_unique<Impl>()) { impl_->threads = threads; }

MatrixProducts::~MatrixProducts() = default;

// Plain strides, no packed weights: over the products of a 124M model at 1024 tokens the primitive on plain
// memory is as fast as one that chooses its own formats and reorders into them, forward, input gradient and
// weight gradient alike.
void MatrixProducts::multiply(const Matrix& a, const Matrix& b, const Matrix& c, bool accumulate) {
  HW_CHECK(a.columns == b.rows && a.rows == c.rows && b.columns == c.columns,
           "a product of [{}, {}] and [{}, {}] in [{}, {}]", a.rows, a.columns, b.rows, b.columns, c.rows,
           c.columns);
  HW_CHECK(a.dtype == b.dtype && (c.dtype == a.dtype || c.dtype == DType::f32),
           "a product of {} and {} in {}", name_of(a.dtype), name_of(b.dtype), name_of(c.dtype));
  if (c.rows == 0 || c.columns == 0) return;
#ifdef _OPENMP
  omp_set_num_threads(impl_->threads);  // oneDNN asks for the calling thread's number
#endif
  const auto memory = [&](const Matrix& m) { return dnnl::memory(describe(m), impl_->engine, m.data); };
  impl_->primitive(a, b, c, accumulate)
      .execute(impl_->stream,
               {{DNNL_ARG_SRC, memory(a)}, {DNNL_ARG_WEIGHTS, memory(b)}, {DNNL_ARG_DST, memory(c)}});
  impl_->stream.wait();
}

}  // namespace headwater::cpu
