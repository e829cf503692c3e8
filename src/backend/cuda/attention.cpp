// Attention and its gradient.

#include "cuda_catalogue.h"
#include "dropout.h"

namespace headwater::cuda {
namespace {

template <class T>
kernels::Attention<T> attention_of(const AttentionArgs& args) {
  const std::int64_t samples = args.samples, queries = samples > 0 ? args.q.rows() / samples : 0,
                     keys = samples > 0 ? args.k.rows() / samples : 0;
  HW_CHECK(samples > 0 && args.q.rows() == samples * queries && args.k.rows() == samples * keys,
           "q {} and k {} of {} samples", to_string(args.q.shape), to_string(args.k.shape), samples);
  HW_CHECK(args.q.shape.rank() == 3 && args.k.shape.rank() == 3 && args.k.shape[1] > 0 &&
               args.q.shape[1] % args.k.shape[1] == 0 && args.k.shape[2] == args.q.shape[2],
           "q {} with k {}", to_string(args.q.shape), to_string(args.k.shape));
  check_matrix(args.k, args.q.dtype, samples * keys, args.k.columns(), "k");
  check_matrix(args.v, args.q.dtype, samples * keys, args.k.columns(), "v");
  check_vector(args.borders.start, DType::i32, samples * queries, "start");
  kernels::Attention<T> a;
  a.q = rows_of<const T>(args.q);
  a.k = rows_of<const T>(args.k);
  a.v = rows_of<const T>(args.v);
  a.samples = static_cast<int>(samples);
  a.queries = static_cast<int>(queries);
  a.keys = static_cast<int>(keys);
  a.heads = static_cast<int>(args.q.shape[1]);
  a.kv_heads = static_cast<int>(args.k.shape[1]);
  a.head_dim = static_cast<int>(args.q.shape[2]);
  a.start = data_of<const std::int32_t>(args.borders.start);
  a.start_offset = args.borders.offset;
  a.query_offset = static_cast<int>(args.query_offset);
  a.scale = static_cast<float>(args.scale);
  a.dropout = mask_of(args.dropout, samples);
  a.first_head = static_cast<int>(args.first_head);
  return a;
}

}  // namespace

void CudaBackend::attention(const AttentionArgs& args, TensorView out, TensorView lse) {
  check_matrix(out, args.q.dtype, args.q.rows(), args.q.columns(), "out");
  check_matrix(lse, DType::f32, args.q.rows(), args.q.shape[1], "lse");
  with_compute_type(args.q.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::attention(attention_of<T>(args), rows_of<T>(out), rows_of<float>(lse), stream_.get());
  });
  launched("attention");
}

void CudaBackend::attention_backward(const AttentionArgs& args, TensorView out, TensorView lse,
                                     TensorView d_out, TensorView dq, TensorView dk, TensorView dv) {
  const DType dtype = args.q.dtype;
  check_matrix(out, dtype, args.q.rows(), args.q.columns(), "out");
  check_matrix(lse, DType::f32, args.q.rows(), args.q.shape[1], "lse");
  check_matrix(d_out, dtype, args.q.rows(), args.q.columns(), "d_out");
  check_matrix(dq, dtype, args.q.rows(), args.q.columns(), "dq");
  check_matrix(dk, dtype, args.k.rows(), args.k.columns(), "dk");
  check_matrix(dv, dtype, args.k.rows(), args.k.columns(), "dv");
  with_compute_type(dtype, [&](auto type) {
    using T = decltype(type);
    const kernels::Attention<T> a = attention_of<T>(args);
    kernels::AttentionGradients<T> g;
    g.out = rows_of<const T>(out);
    g.lse = rows_of<const float>(lse);
    g.d_out = rows_of<const T>(d_out);
    g.dq = rows_of<T>(dq);
    g.dk = rows_of<T>(dk);
    g.dv = rows_of<T>(dv);
    void* memory = scratch(
        kernels::attention_backward_bytes(a.samples, a.queries, a.heads, a.head_dim, dtype == DType::bf16));
    kernels::attention_backward(a, g, memory, deterministic_, stream_.get());
  });
  launched("attention_backward");
}

}  // namespace headwater::cuda
