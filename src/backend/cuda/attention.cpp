// Attention and its gradient.

#include "cuda_catalogue.h"
#include "dropout.h"

namespace headwater::cuda {
namespace {

template <class T>
kernels::Attention<T> attention_of(const AttentionArguments& of) {
  kernels::Attention<T> a;
  a.q = rows_of<const T>(of.q);
  a.k = rows_of<const T>(of.k);
  a.v = rows_of<const T>(of.v);
  a.samples = static_cast<int>(of.samples);
  a.queries = static_cast<int>(of.queries());
  a.keys = static_cast<int>(of.keys());
  a.heads = static_cast<int>(of.q.shape[1]);
  a.kv_heads = static_cast<int>(of.k.shape[1]);
  a.head_dim = static_cast<int>(of.q.shape[2]);
  a.start = data_of<const std::int32_t>(of.borders.start);
  a.start_offset = of.borders.offset;
  a.query_offset = static_cast<int>(of.query_offset);
  a.scale = static_cast<float>(of.scale);
  a.dropout = mask_of(of.dropout);
  a.first_head = static_cast<int>(of.first_head);
  return a;
}

}  // namespace

void CudaBackend::enqueue(const op::Attention& o) {
  with_compute_type(o.of.q.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::attention(attention_of<T>(o.of), rows_of<T>(o.out), rows_of<float>(o.lse), stream_.get());
  });
}

void CudaBackend::enqueue(const op::AttentionBackward& o) {
  const DType dtype = o.of.q.dtype;
  with_compute_type(dtype, [&](auto type) {
    using T = decltype(type);
    const kernels::Attention<T> a = attention_of<T>(o.of);
    kernels::AttentionGradients<T> g;
    g.out = rows_of<const T>(o.out);
    g.lse = rows_of<const float>(o.lse);
    g.d_out = rows_of<const T>(o.d_out);
    g.dq = rows_of<T>(o.dq);
    g.dk = rows_of<T>(o.dk);
    g.dv = rows_of<T>(o.dv);
    void* memory = scratch(
        kernels::attention_backward_bytes(a.samples, a.queries, a.heads, a.head_dim, dtype == DType::bf16));
    kernels::attention_backward(a, g, memory, deterministic_, stream_.get());
  });
}

}  // namespace headwater::cuda
