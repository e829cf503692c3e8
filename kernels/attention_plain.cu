// Attention, forward, on plain FMAs: what fp32 needs (tensor cores would round its products), and head sizes
// that have no tiles of their own. A block walks the keys for kTile queries of one head, with everything in
// shared memory.
//
// 4·D FLOPs for each reached pair, as on tensor cores; of an H100's 67 TFLOP/s in fp32 reads of shared
// memory, 9 for 8 FMAs, leave some 15 to 20 %. Small models and checks of equivalence run here, no large
// training.

#include "attention_plain.cuh"

namespace headwater::kernels {
namespace {

template <int kTile, class T>
__global__ void __launch_bounds__(4 * kTile)
    plain_forward_kernel(const Attention<T> a, const Rows<T> out, const Rows<float> lse, int width) {
  SHARED_BLOCK(memory, plain_shared_bytes<kTile>(3, 1));
  float* const floats = reinterpret_cast<float*>(memory);
  const int tile_floats = PlainTile<kTile>::floats(width);
  const PlainTile<kTile> q{floats, width}, kv{floats + tile_floats, width},
      sum{floats + 2 * tile_floats, width};
  const PlainTile<kTile> weights{floats + 3 * tile_floats, kTile};
  const int tile_query = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kTile;
  const int head = static_cast<int>(blockIdx.y), sample = static_cast<int>(blockIdx.z);
  const int row = static_cast<int>(threadIdx.x) / 4, lane = static_cast<int>(threadIdx.x) % 4;
  const int queries = min(a.queries - tile_query, kTile), query = tile_query + row;
  const std::int64_t first_row = static_cast<std::int64_t>(sample) * a.queries + tile_query;
  const int kv_column = head / (a.heads / a.kv_heads) * a.head_dim;

  q.load(a.q.data + first_row * a.q.stride + head * a.head_dim, a.q.stride, queries, a.head_dim);
  sum.clear();
  const int first = first_key(a, sample, query), end = end_key(a, query);
  const int tile_end = end_key(a, tile_query + queries - 1);
  float maximum = -INFINITY, total = 0.0F;
  for (int key = least_first_key<kTile>(a, sample, tile_query) / kTile * kTile; key < tile_end;
       key += kTile) {
    const std::int64_t key_row = static_cast<std::int64_t>(sample) * a.keys + key;
    const int keys = min(a.keys - key, kTile);
    __syncthreads();
    kv.load(a.k.data + key_row * a.k.stride + kv_column, a.k.stride, keys, a.head_dim);
    __syncthreads();
    float score[kTile / 4];
    plain_products(q, kv, score);
    float greatest = maximum;
#pragma unroll
    for (int c = 0; c < kTile / 4; ++c) {
      const int at = key + lane + 4 * c;
      score[c] = at >= first && at < end ? score[c] * a.scale : -INFINITY;
      greatest = fmaxf(greatest, score[c]);
    }
    greatest = fmaxf(greatest, ptx::shuffle_xor(greatest, 1));
    greatest = fmaxf(greatest, ptx::shuffle_xor(greatest, 2));
    const float shift = greatest == -INFINITY ? 0.0F : greatest;  // nothing reached yet: not −∞ − (−∞)
    const float rescale = expf(maximum - shift);
    maximum = greatest;
    total *= rescale;
#pragma unroll
    for (int c = 0; c < kTile / 4; ++c) {
      score[c] = expf(score[c] - shift);
      total += score[c];
    }
    plain_dropout<kTile>(a, sample, head, query, key, score);
#pragma unroll
    for (int c = 0; c < kTile / 4; ++c) weights.at(row, lane + 4 * c) = score[c];
    __syncthreads();
    kv.load(a.v.data + key_row * a.v.stride + kv_column, a.v.stride, keys, a.head_dim);
    __syncthreads();
    plain_add_rows(
        sum, rescale, [&](int j) { return weights.at(row, j); }, kv);
  }
  total += ptx::shuffle_xor(total, 1);
  total += ptx::shuffle_xor(total, 2);
  for (int column = lane; column < width; column += 4) sum.at(row, column) /= total;
  if (lane == 0 && query < a.queries) lse.data[(first_row + row) * lse.stride + head] = maximum + logf(total);
  __syncthreads();
  sum.store(out.data + first_row * out.stride + head * a.head_dim, out.stride, queries, a.head_dim, 1.0F);
}

template <int kTile, class T>
void launch_forward(const Attention<T>& a, Rows<T> out, Rows<float> lse, cudaStream_t stream) {
  const int width = plain_width(a.head_dim);
  const dim3 grid(static_cast<unsigned>((a.queries + kTile - 1) / kTile), static_cast<unsigned>(a.heads),
                  static_cast<unsigned>(a.samples));
  launch(plain_forward_kernel<kTile, T>, grid, dim3(4 * kTile), plain_shared_bytes<kTile>(3, 1, width),
         stream, a, out, lse, width);
}

}  // namespace

template <class T>
void plain_attention(const Attention<T>& a, Rows<T> out, Rows<float> lse, cudaStream_t stream) {
  if (a.queries == 0 || a.samples == 0) return;
  if (a.head_dim <= kPlainWidest<32>) {
    launch_forward<32>(a, out, lse, stream);
  } else {
    launch_forward<16>(a, out, lse, stream);
  }
}

template void plain_attention(const Attention<float>&, Rows<float>, Rows<float>, cudaStream_t);
template void plain_attention(const Attention<bf16>&, Rows<bf16>, Rows<float>, cudaStream_t);

}  // namespace headwater::kernels
