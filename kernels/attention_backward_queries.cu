// Flash attention, backward, dq in order on tensor cores: the walk of attention_forward.cu once more. A warp
// owns 16 R query rows; for each tile of keys it makes S = Q Kᵀ, dP = dO Vᵀ and from them dS, and adds dS K
// to its rows of dQ.
//
// Counts, of a head: 6·D FLOPs for each reached pair; the floor on an H100, B·A·S²·3D / 989e12 s: at S =
// 4096, D = 128, A = 32 a sample 208 µs. For the 4096 FLOPs of an mma ldmatrix reads 213 bytes at D of 64
// and 96, 299 at 128, 341 at 256: at 128 bytes a clock at most 2460, 1750 and 1540 FLOPs of the 4096 that
// a multiprocessor could do.
//
// Registers bind at D ≤ 128: two blocks on a multiprocessor of an H100; one at D = 256. budget.tsv has the
// numbers.
//
//   D    queries × keys
//   64      128 × 64
//   96      128 × 64
//   128     128 × 32
//   256      64 × 32

#include "attention_backward.cuh"
#include "attention_softmax.cuh"
#include "attention_tiles.cuh"

namespace headwater::kernels {
namespace {

constexpr int kWarps = 4, kThreads = 32 * kWarps;

template <int D>
struct Tiles {
  static constexpr int kRowTiles = D <= 128 ? 2 : 1;  // R
  static constexpr int kQueries = 16 * kRowTiles * kWarps;
  static constexpr int kKeys = D <= 96 ? 64 : 32;
  static constexpr int kPart = D == 128 ? 16 : 32;  // keys whose scores are in registers at once
  static constexpr int kQueryBytes = kQueries * D * 2, kKeyBytes = kKeys * D * 2;
  static constexpr int kSharedBytes = 2 * kQueryBytes + 4 * kKeyBytes;  // Q, dO; K and V, twice
};

template <int D>
__global__ void __launch_bounds__(kThreads)
    query_gradients_kernel(const Attention<bf16> a, const AttentionGradients<bf16> g,
                           const BackwardWorkspace w) {
  using T = Tiles<D>;
  constexpr int R = T::kRowTiles, N = T::kPart / 8;
  SHARED_BLOCK(memory, T::kSharedBytes);
  SHARED_ARRAY(int, first_of_row, [T::kQueries]);
  SHARED_ARRAY(FirstKeys, first_of_warp, [T::kQueries / 32]);
  const int tile_query =
      static_cast<int>(gridDim.x - 1 - blockIdx.x) * T::kQueries;  // late ones, the longest, first
  const int head = static_cast<int>(blockIdx.y), sample = static_cast<int>(blockIdx.z);
  const int queries = min(a.queries - tile_query, T::kQueries);
  const int warp_row = static_cast<int>(threadIdx.x) / 32 * 16 * R;
  const std::int64_t first_row = static_cast<std::int64_t>(sample) * a.queries + tile_query;

  load_tile<T::kQueries, D, kThreads>(memory, a.q.data + first_row * a.q.stride + head * D,
                                      static_cast<int>(a.q.stride), 0, queries);
  load_tile<T::kQueries, D, kThreads>(memory + T::kQueryBytes,
                                      g.d_out.data + first_row * g.d_out.stride + head * D,
                                      static_cast<int>(g.d_out.stride), 0, queries);
  const int kv_column = head / (a.heads / a.kv_heads) * D;
  const bf16* const keys = a.k.data + static_cast<std::int64_t>(sample) * a.keys * a.k.stride + kv_column;
  const bf16* const values = a.v.data + static_cast<std::int64_t>(sample) * a.keys * a.v.stride + kv_column;
  const auto load_keys = [&](int key, int half) {
    unsigned char* const tile = memory + 2 * T::kQueryBytes + half * 2 * T::kKeyBytes;
    load_tile<T::kKeys, D, kThreads>(tile, keys, static_cast<int>(a.k.stride), key, a.keys);
    load_tile<T::kKeys, D, kThreads>(tile + T::kKeyBytes, values, static_cast<int>(a.v.stride), key, a.keys);
    ptx::cp_async_commit();
  };

  const FirstKeys first =
      first_keys<T::kQueries, kThreads>(a, sample, tile_query, first_of_row, first_of_warp);
  const QueryRows<R> rows(a, tile_query + warp_row, first_of_row + warp_row);
  float lse[R][2], delta[R][2];  // lse in powers of two
#pragma unroll
  for (int r = 0; r < R; ++r)
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int query = rows.query + 16 * r + 8 * i;
      const Statistics* const of_head =
          w.statistics + (static_cast<std::int64_t>(sample) * a.heads + head) * w.padded;
      lse[r][i] = query < a.queries ? of_head[query].lse * kLog2E : INFINITY;
      delta[r][i] = query < a.queries ? of_head[query].delta : 0.0F;
    }
  const int end = end_key(a, tile_query + queries - 1), all_reach_to = end_key(a, tile_query);
  const float scale = a.scale * kLog2E;

  float dq[R][D / 8][4];
  clear(dq);
  int half = 0;
  int key = first.least / T::kKeys * T::kKeys;
  load_keys(key, half);
  for (; key < end; key += T::kKeys, half ^= 1) {
    ptx::cp_async_wait<0>();
    __syncthreads();  // this tile is there for all, and all have left the one before
    if (key + T::kKeys < end) load_keys(key + T::kKeys, half ^ 1);
    const unsigned char* const k = memory + 2 * T::kQueryBytes + half * 2 * T::kKeyBytes;
    const bool cut = key < first.greatest || key + T::kKeys > all_reach_to;
#pragma unroll 1
    for (int part = 0; part < T::kKeys; part += T::kPart) {
      const Fragments<D> fragments;
      float p[R][N][4], ds[R][N][4];
      multiply_rows(fragments, memory, warp_row, k, part, p);
      if (cut) mask_scores(rows, key + part, p);
      multiply_rows(fragments, memory + T::kQueryBytes, warp_row, k + T::kKeyBytes, part, ds);
      if (a.dropout.keys != nullptr) drop(a, sample, head, rows.query, key + part, ds);
#pragma unroll
      for (int r = 0; r < R; ++r)
#pragma unroll
        for (int n = 0; n < N; ++n)
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            ds[r][n][i] = ptx::exp2(p[r][n][i] * scale - lse[r][i / 2]) * (ds[r][n][i] - delta[r][i / 2]);
          }
      multiply_accumulators(fragments, ds, k, part, dq);
    }
  }

  float factor[R][2];
#pragma unroll
  for (int r = 0; r < R; ++r) factor[r][0] = factor[r][1] = a.scale;
  store_rows<D>(dq, factor, memory, warp_row, g.dq.data + (first_row + warp_row) * g.dq.stride + head * D,
                g.dq.stride, queries - warp_row);
}

template <int D>
void launch_one(const Attention<bf16>& a, const AttentionGradients<bf16>& g, const BackwardWorkspace& w,
                cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>((a.queries + Tiles<D>::kQueries - 1) / Tiles<D>::kQueries),
                  static_cast<unsigned>(a.heads), static_cast<unsigned>(a.samples));
  launch(query_gradients_kernel<D>, grid, dim3(kThreads), Tiles<D>::kSharedBytes, stream, a, g, w);
}

}  // namespace

void attention_query_gradients(const Attention<bf16>& a, const AttentionGradients<bf16>& g,
                               const BackwardWorkspace& w, cudaStream_t stream) {
  switch (a.head_dim) {
    case 64: return launch_one<64>(a, g, w, stream);
    case 96: return launch_one<96>(a, g, w, stream);
    case 128: return launch_one<128>(a, g, w, stream);
    default: return launch_one<256>(a, g, w, stream);
  }
}

}  // namespace headwater::kernels
