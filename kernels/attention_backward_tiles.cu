// Flash attention, backward, on tensor cores (Dao 2023, algorithm 2, turned round).
//
// A block of four warps holds kKeys keys of a KV head and walks the tiles of queries, of all heads of its
// group, that reach any of them. A warp owns 16 R keys; everything is transposed, keys down and queries
// across, so that Pᵀ and dSᵀ are left in registers just as the products with dO and Q want them, and pass
// through no memory:
//   Sᵀ = K Qᵀ,  dPᵀ = V dOᵀ,  dV += (P ∘ M)ᵀ dO,  dK += dSᵀ Q.
// For dQ += dS K dSᵀ goes through shared memory; the warps share out the rows of the product and add them to
// sums in global memory. At D = 256 dk and dv do not fit a warp's registers together: they are made by two
// launches, each making Sᵀ again.
//
// In order: a tile of dQ is added to by the blocks whose keys it reaches, the last keys first, each warp
// after that warp of the block before, which has the same elements, has said that it is done. A block reaches
// its first tile when it begins, and each further one a step later, as does the block with the next keys:
// where they begin together nobody waits. Blocks take their keys as they begin, the last keys of a head first
// (the shortest walk), so that whom a block waits for has begun before it. A warp says that a tile is done
// when it is at the next one and has met the others: its additions have mostly arrived by then, for which it
// would have had to wait before.
//
// Counts, of a head: 10·D FLOPs for each reached pair (12·D at D = 256), S²/2 pairs in one document. The
// floor on an H100, B·A·S²·5D / 989e12 s: at S = 4096, D = 128, A = 32 a sample 347 µs; beside it 4 bytes of
// sums for 2·D·kKeys FLOPs.
//
// For the 4096 FLOPs of an mma ldmatrix reads 205 bytes at D = 64 and, with R = 1, 307 at 96 and 128: at 128
// bytes a clock at most 2560 and 1710 FLOPs of the 4096 that a multiprocessor could do. R = 2 would need more
// registers than a thread can have.
//
// Registers bind: two blocks, eight warps, on a multiprocessor of an H100; one for dk at D = 256. budget.tsv
// has the numbers.
//
//   D     keys × queries
//   64       128 × 64
//   96        64 × 64
//   128       64 × 64
//   256       64 × 32

#include "attention_backward.cuh"
#include "attention_dropout.cuh"
#include "attention_softmax.cuh"
#include "attention_tiles.cuh"

namespace headwater::kernels {
namespace {

constexpr int kWarps = kAddingWarps, kThreads = 32 * kWarps;

enum class Sums { both, keys, values };

template <int D, Sums kSums>
struct Tiles {
  static constexpr bool kDk = kSums != Sums::values, kDv = kSums != Sums::keys, kDq = kDk;
  static constexpr int kKeyTiles = D == 64 ? 2 : 1;  // R
  static constexpr int kKeys = 16 * kKeyTiles * kWarps;
  static constexpr int kQueries = D == 256 ? 32 : 64;
  static constexpr int kPart = D == 256 && kDq ? 16 : 32;  // queries whose scores are in registers at once
  static constexpr int kKeyBytes = kKeys * D * 2, kQueryBytes = kQueries * D * 2;
  static constexpr int kStatisticBytes = kQueries * static_cast<int>(sizeof(Statistics));
  static constexpr int kStageBytes = 2 * kQueryBytes + kStatisticBytes;  // Q, dO, statistics
  static constexpr int kScoreBytes = kKeys * 2 * 64;                     // dSᵀ in bf16, rows of 64 queries
  static constexpr int kStages =
      (kDk ? 2 : 1) * kKeyBytes;  // where they begin: after K, and V where dP is needed
  static constexpr int kScores = kStages + 2 * kStageBytes;
  static constexpr int kSharedBytes = kScores + (kDq ? kScoreBytes : 0);
};

// A warp's dSᵀ, packed, to rows `warp_key`, … and columns `part`, … of the tile of scores.
template <int R, int K>
__device__ __forceinline__ void store_scores(const std::uint32_t (&ds)[R][K][4], unsigned char* tile,
                                             int warp_key, int part) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int r = 0; r < R; ++r)
#pragma unroll
    for (int n = 0; n < 2 * K; ++n)
#pragma unroll
      for (int below = 0; below < 2; ++below) {
        const int row = warp_key + 16 * r + 8 * below + lane / 4;
        *reinterpret_cast<std::uint32_t*>(tile + tile_offset<64>(row, part / 8 + n) + lane % 4 * 4) =
            ds[r][n / 2][n % 2 * 2 + below];
      }
}

// sums += dS K for a tile of queries, of which the first `valid` exist. Two warps share the rows out and two
// the columns, so that a fragment of either side serves two products.
template <int D, int kKeys, int kQueries>
__device__ __forceinline__ void add_query_gradients(const unsigned char* scores, const unsigned char* keys,
                                                    float* sums, int stride, int valid) {
  constexpr int R = kQueries / 32, kColumns = D / 2, N = D == 96 ? 6 : 8 / R;
  static_assert(kColumns % (8 * N) == 0);
  const int thread = ptx::opaque_thread<kThreads>(), lane = thread % 32, warp = thread / 32;
  const Fragments<64> of_scores(lane);
  const Fragments<D> of_keys(lane);
  const int row = warp % 2 * 16 * R, first_column = warp / 2 * kColumns;
#pragma unroll 1
  for (int column = first_column; column < first_column + kColumns; column += 8 * N) {
    float sum[R][N][4];
    clear(sum);
#pragma unroll
    for (int k = 0; k < kKeys; k += 16) {
      std::uint32_t left[R][4];
#pragma unroll
      for (int r = 0; r < R; ++r) of_scores.a_transposed(left[r], scores, k, row + 16 * r);
#pragma unroll
      for (int n = 0; n < N; n += 2) {
        std::uint32_t right[4];
        of_keys.two_b_transposed(right, keys, k, column + 8 * n);
#pragma unroll
        for (int r = 0; r < R; ++r) {
          ptx::mma_m16n8k16_bf16(sum[r][n], left[r], right[0], right[1]);
          ptx::mma_m16n8k16_bf16(sum[r][n + 1], left[r], right[2], right[3]);
        }
      }
    }
#pragma unroll
    for (int r = 0; r < R; ++r)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int at = row + 16 * r + 8 * half + lane / 4;
        if (at >= valid) continue;
        float* const to = sums + static_cast<std::int64_t>(at) * stride + column + lane % 4 * 2;
#pragma unroll
        for (int n = 0; n < N; ++n) ptx::add_two(to + 8 * n, sum[r][n][2 * half], sum[r][n][2 * half + 1]);
      }
  }
}

// A tile of queries, over the heads of the group.
struct Turn {
  int head, tile;
};

template <int D, Sums kSums, bool kDropout>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(const Attention<bf16> a, const AttentionGradients<bf16> g, const BackwardWorkspace w) {
  using T = Tiles<D, kSums>;
  constexpr int R = T::kKeyTiles, N = T::kPart / 8;
  using Kept = std::conditional_t<kDropout, KeptOfColumns<R, N>, AllKept>;
  SHARED_BLOCK(memory, T::kSharedBytes);
  const bool in_order = T::kDq && w.begun != nullptr;
  int number = static_cast<int>(blockIdx.x);
  if (in_order) {
    auto& begun = *reinterpret_cast<int*>(memory + T::kScores);  // where nothing lies yet
    if (threadIdx.x == 0) begun = atomicAdd(w.begun, 1);
    __syncthreads();
    number = begun;
  }
  const auto key_tiles = [&] { return (ptx::opaque(a.keys) + T::kKeys - 1) / T::kKeys; };
  const int key = (key_tiles() - 1 - number % key_tiles()) * T::kKeys;
  const int kv_head = number / key_tiles() % a.kv_heads, sample = number / key_tiles() / a.kv_heads;
  const std::int64_t sample_keys = static_cast<std::int64_t>(sample) * a.keys;

  load_tile<T::kKeys, D, kThreads>(memory, a.k.row(sample_keys) + kv_head * D, static_cast<int>(a.k.stride),
                                   key, a.keys);
  if constexpr (T::kDk) {
    load_tile<T::kKeys, D, kThreads>(memory + T::kKeyBytes, a.v.row(sample_keys) + kv_head * D,
                                     static_cast<int>(a.v.stride), key, a.keys);
  }
  ptx::cp_async_commit();  // also where no query comes after it
  const auto load_queries = [&](Turn turn, int half) {
    unsigned char* const stage = memory + T::kStages + half * T::kStageBytes;
    const int query = turn.tile * T::kQueries, thread = static_cast<int>(threadIdx.x);
    const std::int64_t which = ptx::opaque(sample);  // so that no base address needs registers over the loop
    load_tile<T::kQueries, D, kThreads>(stage, a.q.row(which * a.queries) + turn.head * D,
                                        static_cast<int>(a.q.stride), query, a.queries);
    load_tile<T::kQueries, D, kThreads>(stage + T::kQueryBytes,
                                        g.d_out.row(which * a.queries) + turn.head * D,
                                        static_cast<int>(g.d_out.stride), query, a.queries);
    const Statistics* const statistics = w.statistics + (which * a.heads + turn.head) * w.padded + query;
    if (thread < T::kQueries / 2)
      ptx::cp_async<16>(stage + 2 * T::kQueryBytes + 16 * thread, statistics + 2 * thread);
    ptx::cp_async_commit();
  };

  const auto first_keys_of = [&](int tile) {
    return w.first_of_tile[(static_cast<std::int64_t>(ptx::opaque(sample)) * w.padded + tile * T::kQueries) /
                           kQueryPad];
  };
  const int heads_end = (kv_head + 1) * (a.heads / a.kv_heads);
  const auto tiles = [&] { return (ptx::opaque(a.queries) + T::kQueries - 1) / T::kQueries; };
  const auto next = [&](Turn turn) {
    do {
      if (++turn.tile >= tiles()) {  // queries before those of the first tile end before these keys
        turn = {turn.head + 1, max(0, ptx::opaque(key) - a.query_offset) / T::kQueries};
      }
    } while (turn.head < heads_end && turn.tile < tiles() &&
             first_keys_of(turn.tile).least >= key + T::kKeys);
    return turn;
  };
  const auto goes_on = [&](Turn turn) { return turn.head < heads_end && turn.tile < tiles(); };
  Turn turn = next({heads_end - a.heads / a.kv_heads - 1, INT_MAX - 1});
  // How many blocks have added their part to what this warp adds to.
  const auto added = [&] {
    const std::int64_t row = static_cast<std::int64_t>(ptx::opaque(sample)) * a.heads + turn.head;
    const std::int64_t tile = row * (w.padded / kAddedQueries) + turn.tile * (T::kQueries / kAddedQueries);
    return w.added + tile * kAddingWarps + threadIdx.x / 32;
  };

  float dk[R][T::kDk ? D / 8 : 1][4], dv[R][T::kDv ? D / 8 : 1][4];
  const auto speaks = [&] { return in_order && ptx::opaque_thread<32>() == 0; };
  // The count of the tile of dQ that this warp has added to last and has yet to declare done; nullptr: there
  // is none. It lies among the statistics of that tile's stage, which nobody reads then and nobody writes to
  // before the next tile's barrier.
  const auto undeclared = [&](int half) -> int*& {
    unsigned char* const stage = memory + T::kStages + half * T::kStageBytes;
    return reinterpret_cast<int**>(stage + 2 * T::kQueryBytes)[threadIdx.x / 32];
  };
  const auto take_undeclared = [&](int half) { return speaks() ? undeclared(half) : nullptr; };
  const auto declare = [](int* count) {
    if (count != nullptr) ptx::add_release(count, 1);
  };
  if (speaks()) undeclared(1) = nullptr;

  clear(dk);
  clear(dv);
  const float scale = a.scale * kLog2E;
  if (goes_on(turn)) load_queries(turn, 0);
  int half = 0;
  for (; goes_on(turn); half ^= 1) {
    const Turn after = next(turn);
    int* const count = take_undeclared(half ^ 1);
    ptx::cp_async_wait<0>();
    __syncthreads();  // this tile is there for all, and all have left the one before
    if (goes_on(after)) load_queries(after, half ^ 1);
    declare(count);
    const unsigned char* const q = memory + T::kStages + half * T::kStageBytes;
    const unsigned char* const d_out = q + T::kQueryBytes;
    const auto* const statistics = reinterpret_cast<const Statistics*>(d_out + T::kQueryBytes);
    const int tile_query = turn.tile * T::kQueries;
    const bool cut = first_keys_of(turn.tile).greatest > key || end_key(a, tile_query) < key + T::kKeys;

#pragma unroll 1
    for (int part = 0; part < T::kQueries; part += T::kPart) {
      const int thread = ptx::opaque_thread<kThreads>(), lane = thread % 32, warp_key = thread / 32 * 16 * R;
      const Fragments<D> fragments(lane);
      float p[R][N][4];
      multiply_rows(fragments, memory, warp_key, q, part, p);
#pragma unroll
      for (int n = 0; n < N; ++n)
#pragma unroll
        for (int i = 0; i < 2; ++i) {  // columns
          const int column = part + 8 * n + lane % 4 * 2 + i;
          const float shift = statistics[column].lse * kLog2E;
#pragma unroll
          for (int r = 0; r < R; ++r) {
            p[r][n][i] = ptx::exp2(p[r][n][i] * scale - shift);
            p[r][n][2 + i] = ptx::exp2(p[r][n][2 + i] * scale - shift);
          }
        }
      if (cut) {
        const int* const first =
            w.first + static_cast<std::int64_t>(ptx::opaque(sample)) * w.padded + tile_query;
#pragma unroll
        for (int n = 0; n < N; ++n)
#pragma unroll
          for (int i = 0; i < 2; ++i) {
            const int column = part + 8 * n + lane % 4 * 2 + i;
            const int from = first[column], end = end_key(a, tile_query + column);
#pragma unroll
            for (int r = 0; r < R; ++r)
#pragma unroll
              for (int below = 0; below < 2; ++below) {
                const int at = key + warp_key + 16 * r + 8 * below + lane / 4;
                if (at < from || at >= end) p[r][n][2 * below + i] = 0.0F;
              }
          }
      }
      const Kept kept(a, sample, turn.head, tile_query + part, key + warp_key);
      std::uint32_t packed[R][N / 2][4];
      if constexpr (T::kDv) {
        pack_accumulators(p, packed);
        drop(kept, packed);
        multiply_packed(fragments, packed, d_out, part, dv);
      }
      if constexpr (T::kDk) {
        float ds[R][N][4];
        multiply_rows(fragments, memory + T::kKeyBytes, warp_key, d_out, part, ds);
#pragma unroll
        for (int n = 0; n < N; ++n)
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            const float delta = statistics[part + 8 * n + lane % 4 * 2 + i % 2].delta;
#pragma unroll
            for (int r = 0; r < R; ++r) {
              const float dp = kept.at(r, n, i) ? ds[r][n][i] : 0.0F;
              ds[r][n][i] = p[r][n][i] * ((kDropout ? dp * a.dropout.scale : dp) - delta);
            }
          }
        pack_accumulators(ds, packed);
        multiply_packed(fragments, packed, q, part, dk);
        store_scores(packed, memory + T::kScores, warp_key, part);
      }
    }
    if constexpr (T::kDq) {
      __syncthreads();
      if (speaks()) {
        // The tile reaches all keys up to these.
        const int last =
            min(key_tiles() - 1, ((turn.tile + 1) * T::kQueries + a.query_offset - 1) / T::kKeys);
        ptx::await(added(), last - key / T::kKeys);
      }
      __syncwarp();
      const std::int64_t first_row = static_cast<std::int64_t>(sample) * a.queries + tile_query;
      add_query_gradients<D, T::kKeys, T::kQueries>(memory + T::kScores, memory,
                                                    w.dq + (first_row * a.heads + turn.head) * D, a.heads * D,
                                                    min(a.queries - tile_query, T::kQueries));
      __syncwarp();
      if (speaks()) undeclared(half) = added();
    }
    turn = after;
  }
  declare(take_undeclared(half ^ 1));

  ptx::cp_async_wait<0>();
  __syncthreads();  // nobody reads K and V any more: their rows serve for the way out
  const int warp_key = static_cast<int>(threadIdx.x) / 32 * 16 * R;
  float factors[R][2];
  const auto leave = [&](const auto& sum, float factor, unsigned char* tile, const Rows<bf16>& rows) {
#pragma unroll
    for (int r = 0; r < R; ++r) factors[r][0] = factors[r][1] = factor;
    store_rows<D>(sum, factors, tile, warp_key, rows.row(sample_keys + key + warp_key) + kv_head * D,
                  rows.stride, a.keys - key - warp_key);
  };
  if constexpr (T::kDk) leave(dk, a.scale, memory + T::kKeyBytes, g.dk);
  if constexpr (T::kDv) leave(dv, kDropout ? a.dropout.scale : 1.0F, memory, g.dv);
}

template <int D, Sums kSums>
void launch_one(const Attention<bf16>& a, const AttentionGradients<bf16>& g, const BackwardWorkspace& w,
                cudaStream_t stream) {
  using T = Tiles<D, kSums>;
  const int blocks = (a.keys + T::kKeys - 1) / T::kKeys * a.kv_heads * a.samples;
  launch(a.dropout.keys != nullptr ? backward_kernel<D, kSums, true> : backward_kernel<D, kSums, false>,
         dim3(static_cast<unsigned>(blocks)), dim3(kThreads), T::kSharedBytes, stream, a, g, w);
}

}  // namespace

void tiled_attention_backward(const Attention<bf16>& a, const AttentionGradients<bf16>& g,
                              const BackwardWorkspace& w, cudaStream_t stream) {
  switch (a.head_dim) {
    case 64: return launch_one<64, Sums::both>(a, g, w, stream);
    case 96: return launch_one<96, Sums::both>(a, g, w, stream);
    case 128: return launch_one<128, Sums::both>(a, g, w, stream);
    default: launch_one<256, Sums::values>(a, g, w, stream); launch_one<256, Sums::keys>(a, g, w, stream);
  }
}

}  // namespace headwater::kernels
