// Flash attention, forward, on tensor cores.
//
// A block of four warps takes kQueries queries of one head and walks the tiles of kKeys keys that any of them
// reaches; while it computes one, the next lands in the other half of shared memory. A warp owns 16 R query
// rows: scores, softmax and output stay in its registers. R = 2 keeps shared memory from binding: for the
// 4096 FLOPs of an mma ldmatrix reads 160 bytes at D of 64 and 96, 192 at 128 and, with R = 1, 320 at 256,
// of the 128 bytes a clock that a multiprocessor has; mma.sync does some 2500 FLOPs in that time, of 4096.
//
// Counts, of a head: 4·D FLOPs for each reached pair (query, key), S²/2 pairs where a sample is one document;
// 2·S·D·(2 + 2 G/A) bytes. The floor on an H100, B·A·S²·2D / 989e12 s: at S = 4096, D = 128, A = 32 a sample
// 139 µs, of which mma.sync reaches 60 to 65 %; memory (B·S·A·D·8 bytes at 3.35 TB/s: 40 µs there) is not
// what binds where S > 600. Beside products, a pair costs one ex2 (16 a clock and multiprocessor: half the
// products' time at D = 64, a quarter at 128) and some 8 FMAs.
//
// Registers bind: R = 2 leaves two blocks, eight warps, on a multiprocessor of either kind (an A100 holds one
// of D = 256); budget.tsv has the numbers.
//
//   D    queries × keys
//   64      128 × 64
//   96      128 × 64
//   128     128 × 32
//   256      64 × 32

#include "attention.cuh"
#include "attention_dropout.cuh"
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
  static constexpr int kQueryBytes = kQueries * D * 2, kKeyBytes = kKeys * D * 2;
  static constexpr int kRows = kQueryBytes + 4 * kKeyBytes;  // after keys and values, twice
  static constexpr int kSharedBytes = kRows + static_cast<int>(sizeof(RowsOfTile<kQueries>));
  static constexpr int kBlocks = 2;
};

// Which queries a block has. Made anew from the block's index where it is needed, so that it needs no
// registers over the loop.
struct Place {
  int query, head, sample;
  // Late tiles reach the most keys: they go first, so that none is left for the end.
  __device__ __forceinline__ explicit Place(int queries)
      : query((static_cast<int>(gridDim.x) - 1 - ptx::opaque(static_cast<int>(blockIdx.x))) * queries),
        head(ptx::opaque(static_cast<int>(blockIdx.y))),
        sample(ptx::opaque(static_cast<int>(blockIdx.z))) {}
};

template <int D, bool kDropout>
__global__ void __launch_bounds__(kThreads, Tiles<D>::kBlocks)
    forward_kernel(const Attention<bf16> a, const Rows<bf16> out, const Rows<float> lse) {
  using T = Tiles<D>;
  constexpr int R = T::kRowTiles, N = T::kKeys / 8;
  using Kept = std::conditional_t<kDropout, KeptOfRows<R, N>, AllKept>;
  SHARED_BLOCK(memory, T::kSharedBytes);
  auto& rows = *reinterpret_cast<RowsOfTile<T::kQueries>*>(memory + T::kRows);
  const int kv_column = static_cast<int>(blockIdx.y) / (a.heads / a.kv_heads) * D;
  const auto load_keys = [&](int key, int half) {
    const std::int64_t row = static_cast<std::int64_t>(Place(T::kQueries).sample) * a.keys;
    unsigned char* const tile = memory + T::kQueryBytes + half * 2 * T::kKeyBytes;
    load_tile<T::kKeys, D, kThreads>(tile, a.k.row(row) + kv_column, static_cast<int>(a.k.stride), key,
                                     a.keys);
    load_tile<T::kKeys, D, kThreads>(tile + T::kKeyBytes, a.v.row(row) + kv_column,
                                     static_cast<int>(a.v.stride), key, a.keys);
    ptx::cp_async_commit();
  };

  const Place place(T::kQueries);
  const int queries = min(a.queries - place.query, T::kQueries);
  load_tile<T::kQueries, D, kThreads>(
      memory, a.q.row(static_cast<std::int64_t>(place.sample) * a.queries + place.query) + place.head * D,
      static_cast<int>(a.q.stride), 0, queries);
  const FirstKeys first = first_keys<T::kQueries, kThreads>(a, place.sample, place.query, rows);
  const int end = end_key(a, place.query + queries - 1);
  const int all_reach_to = end_key(a, place.query);
  const int warp_row = static_cast<int>(threadIdx.x) / 32 * 16 * R;
  const float scale = a.scale * kLog2E;

  RunningSoftmax<R> softmax;
  float sum[R][D / 8][4];
  clear(sum);
  int half = 0;
  int key = first.least / T::kKeys * T::kKeys;
  load_keys(key, half);
  for (; key < end; key += T::kKeys, half ^= 1) {
    ptx::cp_async_wait<0>();
    __syncthreads();  // this tile is there for all, and all have left the one before
    if (key + T::kKeys < end) load_keys(key + T::kKeys, half ^ 1);
    const unsigned char* const tile = memory + T::kQueryBytes + half * 2 * T::kKeyBytes;
    float scores[R][N][4];
    multiply_rows(Fragments<D>(), memory, warp_row, tile, 0, scores);
    if (key < first.greatest || key + T::kKeys > all_reach_to)
      mask_scores(a, Place(T::kQueries).query + warp_row, rows.first + warp_row, key, scores);
    softmax.take(scores, scale, sum);
    std::uint32_t weights[R][N / 2][4];
    pack_accumulators(scores, weights);
    const Place here(T::kQueries);
    drop(Kept(a, here.sample, here.head, here.query + warp_row, key), weights);
    multiply_packed(Fragments<D>(), weights, tile + T::kKeyBytes, 0, sum);
  }

  softmax.finish();
  const Place here(T::kQueries);
  const std::int64_t first_row = static_cast<std::int64_t>(here.sample) * a.queries + here.query + warp_row;
  const int valid = a.queries - here.query - warp_row;
  float factor[R][2];
#pragma unroll
  for (int r = 0; r < R; ++r)
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      factor[r][i] = (kDropout ? a.dropout.scale : 1.0F) / softmax.sum[r][i];
      const int row = static_cast<int>(threadIdx.x) % 32 / 4 + 16 * r + 8 * i;
      if (threadIdx.x % 4 == 0 && row < valid) {
        lse.row(first_row + row)[here.head] = softmax.maximum[r][i] * a.scale + logf(softmax.sum[r][i]);
      }
    }
  store_rows<D>(sum, factor, memory, warp_row, out.row(first_row) + here.head * D, out.stride, valid);
}

template <int D>
void launch_forward(const Attention<bf16>& a, Rows<bf16> out, Rows<float> lse, cudaStream_t stream) {
  const int tiles = (a.queries + Tiles<D>::kQueries - 1) / Tiles<D>::kQueries;
  const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(a.heads),
                  static_cast<unsigned>(a.samples));
  launch(a.dropout.keys != nullptr ? forward_kernel<D, true> : forward_kernel<D, false>, grid, dim3(kThreads),
         Tiles<D>::kSharedBytes, stream, a, out, lse);
}

}  // namespace

bool on_tensor_cores(const Attention<bf16>& a) {
  return attention_has_tiles(a.head_dim) && aligned_16(a.q) && aligned_16(a.k) && aligned_16(a.v);
}

template <>
void attention(const Attention<bf16>& a, Rows<bf16> out, Rows<float> lse, cudaStream_t stream) {
  if (!on_tensor_cores(a) || !aligned_16(out)) return plain_attention(a, out, lse, stream);
  if (a.queries == 0) return;
  switch (a.head_dim) {
    case 64: return launch_forward<64>(a, out, lse, stream);
    case 96: return launch_forward<96>(a, out, lse, stream);
    case 128: return launch_forward<128>(a, out, lse, stream);
    default: return launch_forward<256>(a, out, lse, stream);
  }
}

template <>
void attention(const Attention<float>& a, Rows<float> out, Rows<float> lse, cudaStream_t stream) {
  plain_attention(a, out, lse, stream);
}

}  // namespace headwater::kernels
