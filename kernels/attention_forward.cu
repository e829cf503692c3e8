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
  static constexpr int kSharedBytes = kQueryBytes + 4 * kKeyBytes;  // keys and values, twice
  static constexpr int kBlocks = 2;
};

template <int D>
__global__ void __launch_bounds__(kThreads, Tiles<D>::kBlocks)
    forward_kernel(const Attention<bf16> a, const Rows<bf16> out, const Rows<float> lse) {
  using T = Tiles<D>;
  SHARED_BLOCK(memory, T::kSharedBytes);
  SHARED_ARRAY(int, first_of_row, [T::kQueries]);
  SHARED_ARRAY(FirstKeys, first_of_warp, [T::kQueries / 32]);
  // Late tiles reach the most keys: they go first, so that none is left for the end.
  const int tile_query = static_cast<int>(gridDim.x - 1 - blockIdx.x) * T::kQueries;
  const int head = static_cast<int>(blockIdx.y), sample = static_cast<int>(blockIdx.z);
  const int queries = min(a.queries - tile_query, T::kQueries);
  const int warp_row = static_cast<int>(threadIdx.x) / 32 * 16 * T::kRowTiles;
  const std::int64_t first_row = static_cast<std::int64_t>(sample) * a.queries + tile_query;

  load_tile<T::kQueries, D, kThreads>(memory, a.q.data + first_row * a.q.stride + head * D,
                                      static_cast<int>(a.q.stride), 0, queries);
  const int kv_column = head / (a.heads / a.kv_heads) * D;
  const bf16* const keys = a.k.data + static_cast<std::int64_t>(sample) * a.keys * a.k.stride + kv_column;
  const bf16* const values = a.v.data + static_cast<std::int64_t>(sample) * a.keys * a.v.stride + kv_column;
  const auto load_keys = [&](int key, int half) {
    unsigned char* const tile = memory + T::kQueryBytes + half * 2 * T::kKeyBytes;
    load_tile<T::kKeys, D, kThreads>(tile, keys, static_cast<int>(a.k.stride), key, a.keys);
    load_tile<T::kKeys, D, kThreads>(tile + T::kKeyBytes, values, static_cast<int>(a.v.stride), key, a.keys);
    ptx::cp_async_commit();
  };

  const FirstKeys first =
      first_keys<T::kQueries, kThreads>(a, sample, tile_query, first_of_row, first_of_warp);
  const QueryRows<T::kRowTiles> rows(a, tile_query + warp_row, first_of_row + warp_row);
  const int end = end_key(a, tile_query + queries - 1), all_reach_to = end_key(a, tile_query);
  const float scale = a.scale * kLog2E;

  RunningSoftmax<T::kRowTiles> softmax;
  float sum[T::kRowTiles][D / 8][4];
  clear(sum);
  int half = 0;
  int key = first.least / T::kKeys * T::kKeys;
  load_keys(key, half);
  for (; key < end; key += T::kKeys, half ^= 1) {
    ptx::cp_async_wait<0>();
    __syncthreads();  // this tile is there for all, and all have left the one before
    if (key + T::kKeys < end) load_keys(key + T::kKeys, half ^ 1);
    const unsigned char* const tile = memory + T::kQueryBytes + half * 2 * T::kKeyBytes;
    const Fragments<D> fragments;
    float scores[T::kRowTiles][T::kKeys / 8][4];
    multiply_rows(fragments, memory, warp_row, tile, 0, scores);
    if (key < first.greatest || key + T::kKeys > all_reach_to) mask_scores(rows, key, scores);
    softmax.take(scores, scale, sum);
    if (a.dropout.keys != nullptr) drop(a, sample, head, rows.query, key, scores);
    multiply_accumulators(fragments, scores, tile + T::kKeyBytes, 0, sum);
  }

  softmax.finish();
  float factor[T::kRowTiles][2];
#pragma unroll
  for (int r = 0; r < T::kRowTiles; ++r)
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      factor[r][i] = 1.0F / softmax.sum[r][i];
      const int query = rows.query + 16 * r + 8 * i;
      if (threadIdx.x % 4 == 0 && query < a.queries) {
        lse.data[(static_cast<std::int64_t>(sample) * a.queries + query) * lse.stride + head] =
            softmax.maximum[r][i] * a.scale + logf(softmax.sum[r][i]);
      }
    }
  store_rows<D>(sum, factor, memory, warp_row, out.data + (first_row + warp_row) * out.stride + head * D,
                out.stride, queries - warp_row);
}

template <int D>
void launch_forward(const Attention<bf16>& a, Rows<bf16> out, Rows<float> lse, cudaStream_t stream) {
  const int tiles = (a.queries + Tiles<D>::kQueries - 1) / Tiles<D>::kQueries;
  const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(a.heads),
                  static_cast<unsigned>(a.samples));
  launch(forward_kernel<D>, grid, dim3(kThreads), Tiles<D>::kSharedBytes, stream, a, out, lse);
}

}  // namespace

bool on_tensor_cores(const Attention<bf16>& a) {
  return (a.head_dim == 64 || a.head_dim == 96 || a.head_dim == 128 || a.head_dim == 256) &&
         aligned_16(a.q) && aligned_16(a.k) && aligned_16(a.v);
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
