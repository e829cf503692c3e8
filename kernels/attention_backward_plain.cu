// Attention, backward, on plain FMAs: see attention_plain.cu. Seven products, 14·D FLOPs for each reached
// pair: probabilities are made once by a block per tile of keys, for dk and dv, and once by a block per tile
// of queries, for dq, so that each sum belongs to one block and has one order.

#include "attention_backward.cuh"
#include "attention_plain.cuh"

namespace headwater::kernels {
namespace {

// One thread's part of a tile of scores: P ∘ M and dS of query row tid / 4 and keys tid mod 4, + 4, ….
template <int kTile>
struct Weights {
  float dropped[kTile / 4], d_score[kTile / 4];
};

template <int kTile, class T>
__device__ __forceinline__ Weights<kTile> weights(const Attention<T>& a, const PlainTile<kTile>& q,
                                                  const PlainTile<kTile>& d_out, const PlainTile<kTile>& k,
                                                  const PlainTile<kTile>& v, Statistics statistics,
                                                  int sample, int head, int query, int first, int key) {
  Weights<kTile> w;
  for (float& factor : w.dropped) factor = 1.0F;
  plain_dropout<kTile>(a, sample, head, query, key, w.dropped);
  float score[kTile / 4], dp[kTile / 4];
  plain_products(q, k, score);
  plain_products(d_out, v, dp);
  const int end = end_key(a, query), lane = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
  for (int c = 0; c < kTile / 4; ++c) {
    const int at = key + lane + 4 * c;
    const float p = at >= first && at < end ? expf(score[c] * a.scale - statistics.lse) : 0.0F;
    w.d_score[c] = p * (w.dropped[c] * dp[c] - statistics.delta);
    w.dropped[c] *= p;
  }
  return w;
}

// Where the tensors of a block's (sample, head) begin.
template <class T>
__device__ __forceinline__ T* corner(const Rows<T>& rows, std::int64_t row, int head, int head_dim) {
  return rows.data + row * rows.stride + head * head_dim;
}

template <int kTile, class T>
__global__ void __launch_bounds__(4 * kTile, 1)
    plain_key_gradients_kernel(const Attention<T> a, const AttentionGradients<T> g, const BackwardWorkspace w,
                               int width) {
  SHARED_BLOCK(memory, plain_shared_bytes<kTile>(6, 2));
  const auto tile = [&](int i) {
    return PlainTile<kTile>{reinterpret_cast<float*>(memory) + i * PlainTile<kTile>::floats(width), width};
  };
  const PlainTile<kTile> k = tile(0), v = tile(1), dk = tile(2), dv = tile(3), q = tile(4), d_out = tile(5);
  const PlainTile<kTile> dropped{tile(6).data, kTile};
  const PlainTile<kTile> d_score{dropped.data + PlainTile<kTile>::floats(kTile), kTile};
  const int key = static_cast<int>(blockIdx.x) * kTile, kv_head = static_cast<int>(blockIdx.y);
  const int sample = static_cast<int>(blockIdx.z), keys = min(a.keys - key, kTile),
            group = a.heads / a.kv_heads;
  const int row = static_cast<int>(threadIdx.x) / 4, lane = static_cast<int>(threadIdx.x) % 4;
  const std::int64_t key_row = static_cast<std::int64_t>(sample) * a.keys + key;
  k.load(corner(a.k, key_row, kv_head, a.head_dim), a.k.stride, keys, a.head_dim);
  v.load(corner(a.v, key_row, kv_head, a.head_dim), a.v.stride, keys, a.head_dim);
  dk.clear();
  dv.clear();
  for (int head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    for (int query = max(0, key - a.query_offset) / kTile * kTile; query < a.queries; query += kTile) {
      const std::int64_t padded_row = static_cast<std::int64_t>(sample) * w.padded + query;
      if (w.first_of_tile[padded_row / kQueryPad].least >= key + kTile) continue;
      const int queries = min(a.queries - query, kTile);
      const std::int64_t first_row = static_cast<std::int64_t>(sample) * a.queries + query;
      __syncthreads();
      q.load(corner(a.q, first_row, head, a.head_dim), a.q.stride, queries, a.head_dim);
      d_out.load(corner(g.d_out, first_row, head, a.head_dim), g.d_out.stride, queries, a.head_dim);
      __syncthreads();
      const Statistics statistics =
          w.statistics[(static_cast<std::int64_t>(sample) * a.heads + head) * w.padded + query + row];
      const Weights<kTile> made =
          weights(a, q, d_out, k, v, statistics, sample, head, query + row, w.first[padded_row + row], key);
#pragma unroll
      for (int c = 0; c < kTile / 4; ++c) {
        dropped.at(row, lane + 4 * c) = made.dropped[c];
        d_score.at(row, lane + 4 * c) = made.d_score[c];
      }
      __syncthreads();
      plain_add_rows(
          dv, 1.0F, [&](int i) { return dropped.at(i, row); }, d_out);
      plain_add_rows(
          dk, 1.0F, [&](int i) { return d_score.at(i, row); }, q);
    }
  }
  __syncthreads();
  dk.store(corner(g.dk, key_row, kv_head, a.head_dim), g.dk.stride, keys, a.head_dim, a.scale);
  dv.store(corner(g.dv, key_row, kv_head, a.head_dim), g.dv.stride, keys, a.head_dim, 1.0F);
}

template <int kTile, class T>
__global__ void __launch_bounds__(4 * kTile, 1)
    plain_query_gradients_kernel(const Attention<T> a, const AttentionGradients<T> g,
                                 const BackwardWorkspace w, int width) {
  SHARED_BLOCK(memory, plain_shared_bytes<kTile>(5, 1));
  const auto tile = [&](int i) {
    return PlainTile<kTile>{reinterpret_cast<float*>(memory) + i * PlainTile<kTile>::floats(width), width};
  };
  const PlainTile<kTile> q = tile(0), d_out = tile(1), dq = tile(2), k = tile(3), v = tile(4);
  const PlainTile<kTile> d_score{tile(5).data, kTile};
  const int query = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kTile, head = static_cast<int>(blockIdx.y);
  const int sample = static_cast<int>(blockIdx.z), queries = min(a.queries - query, kTile);
  const int row = static_cast<int>(threadIdx.x) / 4, lane = static_cast<int>(threadIdx.x) % 4;
  const int kv_head = head / (a.heads / a.kv_heads);
  const std::int64_t first_row = static_cast<std::int64_t>(sample) * a.queries + query;
  const std::int64_t padded_row = static_cast<std::int64_t>(sample) * w.padded + query;
  q.load(corner(a.q, first_row, head, a.head_dim), a.q.stride, queries, a.head_dim);
  d_out.load(corner(g.d_out, first_row, head, a.head_dim), g.d_out.stride, queries, a.head_dim);
  dq.clear();
  const int first = w.first[padded_row + row], tile_end = end_key(a, query + queries - 1);
  const Statistics statistics =
      w.statistics[(static_cast<std::int64_t>(sample) * a.heads + head) * w.padded + query + row];
  for (int key = least_first_key<kTile>(a, sample, query) / kTile * kTile; key < tile_end; key += kTile) {
    const std::int64_t key_row = static_cast<std::int64_t>(sample) * a.keys + key;
    const int keys = min(a.keys - key, kTile);
    __syncthreads();
    k.load(corner(a.k, key_row, kv_head, a.head_dim), a.k.stride, keys, a.head_dim);
    v.load(corner(a.v, key_row, kv_head, a.head_dim), a.v.stride, keys, a.head_dim);
    __syncthreads();
    const Weights<kTile> made = weights(a, q, d_out, k, v, statistics, sample, head, query + row, first, key);
#pragma unroll
    for (int c = 0; c < kTile / 4; ++c) d_score.at(row, lane + 4 * c) = made.d_score[c];
    __syncthreads();
    plain_add_rows(
        dq, 1.0F, [&](int j) { return d_score.at(row, j); }, k);
  }
  __syncthreads();
  dq.store(corner(g.dq, first_row, head, a.head_dim), g.dq.stride, queries, a.head_dim, a.scale);
}

template <int kTile, class T>
void launch_backward(const Attention<T>& a, const AttentionGradients<T>& g, const BackwardWorkspace& w,
                     cudaStream_t stream) {
  const int width = plain_width(a.head_dim);
  const auto grid = [&](int rows, int heads) {
    return dim3(static_cast<unsigned>((rows + kTile - 1) / kTile), static_cast<unsigned>(heads),
                static_cast<unsigned>(a.samples));
  };
  launch(plain_key_gradients_kernel<kTile, T>, grid(a.keys, a.kv_heads), dim3(4 * kTile),
         plain_shared_bytes<kTile>(6, 2, width), stream, a, g, w, width);
  launch(plain_query_gradients_kernel<kTile, T>, grid(a.queries, a.heads), dim3(4 * kTile),
         plain_shared_bytes<kTile>(5, 1, width), stream, a, g, w, width);
}

}  // namespace

template <class T>
void plain_attention_backward(const Attention<T>& a, const AttentionGradients<T>& g,
                              const BackwardWorkspace& w, cudaStream_t stream) {
  if (a.head_dim <= kPlainWidest<32>) {
    launch_backward<32>(a, g, w, stream);
  } else {
    launch_backward<16>(a, g, w, stream);
  }
}

template void plain_attention_backward(const Attention<float>&, const AttentionGradients<float>&,
                                       const BackwardWorkspace&, cudaStream_t);
template void plain_attention_backward(const Attention<bf16>&, const AttentionGradients<bf16>&,
                                       const BackwardWorkspace&, cudaStream_t);

}  // namespace headwater::kernels
