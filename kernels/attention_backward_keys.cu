// Flash attention, backward, dk and dv on tensor cores (Dao 2023, algorithm 2, turned round).
//
// A block of four warps holds kKeys keys of a KV head and walks the tiles of queries, of all heads of its
// group, that reach any of them. A warp owns 16 R keys; everything is transposed, keys down and queries
// across, so that Pᵀ and dSᵀ are left in registers just as the products with dO and Q want them, and pass
// through no memory:
//   Sᵀ = K Qᵀ,  dPᵀ = V dOᵀ,  dV += (P ∘ M)ᵀ dO,  dK += dSᵀ Q.
// At D = 256 both sums do not fit a warp's registers: dv and dk are made by two launches, each making Sᵀ
// again.
//
// Without order dq is summed here too: dSᵀ goes through shared memory, and the warps share out the rows of dS
// K, which they add to the sums in global memory by atomics.
//
// Counts, of a head: 8·D FLOPs for each reached pair (10·D at D = 256), S²/2 pairs in one document; 2·D more
// where dq is not ordered. The floor on an H100, B·A·S²·4D / 989e12 s: at S = 4096, D = 128, A = 32 a sample
// 278 µs. With dq (6·D, attention_backward_queries.cu) 487 µs in order, and 347 µs without, beside 4 bytes of
// atomics for 2·D·kKeys FLOPs.
//
// For the 4096 FLOPs of an mma ldmatrix reads 192 bytes at D = 64 and, with R = 1, 320 beyond: at 128 bytes a
// clock at most 2730 and 1640 FLOPs of the 4096 that a multiprocessor could do. R = 2 would need more
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
#include "attention_softmax.cuh"
#include "attention_tiles.cuh"

namespace headwater::kernels {
namespace {

constexpr int kWarps = 4, kThreads = 32 * kWarps;

enum class Sums { both, keys, values };

template <int D, Sums kSums, bool kOrdered>
struct Tiles {
  static constexpr bool kDk = kSums != Sums::values, kDv = kSums != Sums::keys;
  static constexpr bool kDq = kDk && !kOrdered;
  static constexpr int kKeyTiles = D == 64 ? 2 : 1;  // R
  static constexpr int kKeys = 16 * kKeyTiles * kWarps;
  static constexpr int kQueries = D == 256 ? 32 : 64;
  static constexpr int kPart =
      kOrdered || D == 96 ? 32 : 16;  // queries whose scores are in registers at once
  static constexpr int kKeyBytes = kKeys * D * 2, kQueryBytes = kQueries * D * 2;
  static constexpr int kStatisticBytes = kQueries * static_cast<int>(sizeof(Statistics));
  static constexpr int kStageBytes =
      2 * kQueryBytes + kStatisticBytes + 4 * kQueries;  // Q, dO, statistics, first keys
  static constexpr int kScoreBytes = kKeys * 2 * 64;     // dSᵀ in bf16, rows of 64 queries
  static constexpr int kStages =
      (kDk ? 2 : 1) * kKeyBytes;  // where they begin: after K, and V where dP is needed
  static constexpr int kScores = kStages + 2 * kStageBytes;
  static constexpr int kSharedBytes = kScores + (kDq ? kScoreBytes : 0);
};

// Gives the probabilities that dropout drops a minus sign: keys down from `key`, queries across from `query`.
// A 16×8 tile has 32 counters of four keys each; the four lanes of equal l mod 4 and l / 16 need the same
// four, so that each makes one.
template <class T, int R, int N>
__device__ __forceinline__ void mark_dropped(const Attention<T>& a, int sample, int head, int query, int key,
                                             float (&p)[R][N][4]) {
  static_assert(N <= 4);
  const int lane = static_cast<int>(threadIdx.x) % 32, mine = lane / 4 % 4;
#pragma unroll
  for (int r = 0; r < R; ++r) {
    unsigned kept = 0;  // bit 4 i + n for accumulator i of tile n
#pragma unroll 1
    for (int n = 0; n < N; ++n) {
      const std::uint64_t counter = dropout_counter(a, head, query + 8 * n + lane % 4 * 2 + mine % 2,
                                                    key + 16 * r + lane / 16 * 4 + mine / 2 * 8);
      unsigned all = kept_of_four(a.dropout, sample, counter) << static_cast<unsigned>(4 * mine);
      all |= ptx::shuffle_xor(all, 4);
      all |= ptx::shuffle_xor(all, 8);
      kept |= (all >> static_cast<unsigned>(mine) & 0x1111U) << static_cast<unsigned>(n);
    }
#pragma unroll
    for (int n = 0; n < N; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) p[r][n][i] = (kept >> (4 * i + n) & 1U) != 0 ? p[r][n][i] : -p[r][n][i];
  }
}

// A warp's dSᵀ, as bf16, to rows `warp_key`, … and columns `part`, … of the tile of scores.
template <int R, int N>
__device__ __forceinline__ void store_scores(const float (&ds)[R][N][4], unsigned char* tile, int warp_key,
                                             int part) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int r = 0; r < R; ++r)
#pragma unroll
    for (int n = 0; n < N; ++n)
#pragma unroll
      for (int below = 0; below < 2; ++below) {
        const int row = warp_key + 16 * r + 8 * below + lane / 4;
        *reinterpret_cast<std::uint32_t*>(tile + tile_offset<64>(row, part / 8 + n) + lane % 4 * 4) =
            ptx::pack_bf16(ds[r][n][2 * below], ds[r][n][2 * below + 1]);
      }
}

// sums += dS K for a tile of queries, of which the first `valid` exist: each warp takes 16 rows, and its part
// of the columns where there are more warps than that.
template <int D, int kKeys, int kQueries>
__device__ __forceinline__ void add_query_gradients(const unsigned char* scores, const unsigned char* keys,
                                                    float* sums, int stride, int valid) {
  constexpr int kRowTiles = kQueries / 16, kColumns = D * kRowTiles / kWarps;
  const Fragments<64> of_scores;
  const Fragments<D> of_keys;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int row = warp % kRowTiles * 16, first_column = warp / kRowTiles * kColumns;
#pragma unroll 1
  for (int column = first_column; column < first_column + kColumns; column += 16) {
    float sum[1][2][4];
    clear(sum);
#pragma unroll
    for (int k = 0; k < kKeys; k += 16) {
      std::uint32_t left[4], right[4];
      of_scores.a_transposed(left, scores, k, row);
      of_keys.two_b_transposed(right, keys, k, column);
      ptx::mma_m16n8k16_bf16(sum[0][0], left, right[0], right[1]);
      ptx::mma_m16n8k16_bf16(sum[0][1], left, right[2], right[3]);
    }
#pragma unroll
    for (int n = 0; n < 2; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int at = row + lane / 4 + i / 2 * 8;
        if (at < valid) {
          atomicAdd(sums + static_cast<std::int64_t>(at) * stride + column + 8 * n + lane % 4 * 2 + i % 2,
                    sum[0][n][i]);
        }
      }
  }
}

// The next tile of queries that reaches the block's keys, over the heads of the group.
struct Turn {
  int head, tile;
};

template <int D, Sums kSums, bool kOrdered>
__global__ void __launch_bounds__(kThreads)
    key_gradients_kernel(const Attention<bf16> a, const AttentionGradients<bf16> g,
                         const BackwardWorkspace w) {
  using T = Tiles<D, kSums, kOrdered>;
  constexpr int R = T::kKeyTiles, N = T::kPart / 8;
  SHARED_BLOCK(memory, T::kSharedBytes);
  const int key = static_cast<int>(blockIdx.x) * T::kKeys, kv_head = static_cast<int>(blockIdx.y);
  const int sample = static_cast<int>(blockIdx.z), group = a.heads / a.kv_heads;
  const std::int64_t sample_keys = static_cast<std::int64_t>(sample) * a.keys;

  load_tile<T::kKeys, D, kThreads>(memory, a.k.data + sample_keys * a.k.stride + kv_head * D,
                                   static_cast<int>(a.k.stride), key, a.keys);
  if constexpr (T::kDk) {
    load_tile<T::kKeys, D, kThreads>(memory + T::kKeyBytes, a.v.data + sample_keys * a.v.stride + kv_head * D,
                                     static_cast<int>(a.v.stride), key, a.keys);
  }
  ptx::cp_async_commit();  // also where no query comes after it
  const auto load_queries = [&](Turn turn, int half) {
    unsigned char* const stage = memory + T::kStages + half * T::kStageBytes;
    const int query = turn.tile * T::kQueries, thread = static_cast<int>(threadIdx.x);
    const std::int64_t which = ptx::opaque(sample);  // so that no base address needs registers over the loop
    load_tile<T::kQueries, D, kThreads>(stage, a.q.data + which * a.queries * a.q.stride + turn.head * D,
                                        static_cast<int>(a.q.stride), query, a.queries);
    load_tile<T::kQueries, D, kThreads>(stage + T::kQueryBytes,
                                        g.d_out.data + which * a.queries * g.d_out.stride + turn.head * D,
                                        static_cast<int>(g.d_out.stride), query, a.queries);
    const Statistics* const statistics = w.statistics + (which * a.heads + turn.head) * w.padded + query;
    const int* const first = w.first + which * w.padded + query;
    unsigned char* const to = stage + 2 * T::kQueryBytes;
    if (thread < T::kQueries / 2) ptx::cp_async<16>(to + 16 * thread, statistics + 2 * thread);
    if (thread < T::kQueries / 4)
      ptx::cp_async<16>(to + T::kStatisticBytes + 16 * thread, first + 4 * thread);
    ptx::cp_async_commit();
  };

  const auto first_keys_of = [&](int tile) {
    return w.first_of_tile[(static_cast<std::int64_t>(ptx::opaque(sample)) * w.padded + tile * T::kQueries) /
                           kQueryPad];
  };
  const int tiles = (a.queries + T::kQueries - 1) / T::kQueries;
  const int first_tile =
      max(0, key - a.query_offset) / T::kQueries;  // queries before it end before these keys
  const auto next = [&](Turn turn) {
    do {
      if (++turn.tile >= tiles) turn = {turn.head + 1, first_tile};
    } while (turn.head < (kv_head + 1) * group && turn.tile < tiles &&
             first_keys_of(turn.tile).least >= key + T::kKeys);
    return turn;
  };
  const auto goes_on = [&](Turn turn) { return turn.head < (kv_head + 1) * group && turn.tile < tiles; };

  float dk[R][T::kDk ? D / 8 : 1][4], dv[R][T::kDv ? D / 8 : 1][4];
  clear(dk);
  clear(dv);
  const float scale = a.scale * kLog2E;
  Turn turn = next({kv_head * group, first_tile - 1});
  if (goes_on(turn)) load_queries(turn, 0);
  for (int half = 0; goes_on(turn); half ^= 1) {
    ptx::cp_async_wait<0>();
    __syncthreads();  // this tile is there for all, and all have left the one before
    const Turn after = next(turn);
    if (goes_on(after)) load_queries(after, half ^ 1);
    const unsigned char* const q = memory + T::kStages + half * T::kStageBytes;
    const unsigned char* const d_out = q + T::kQueryBytes;
    const auto* const statistics = reinterpret_cast<const Statistics*>(d_out + T::kQueryBytes);
    const auto* const first = reinterpret_cast<const int*>(d_out + T::kQueryBytes + T::kStatisticBytes);
    const int tile_query = turn.tile * T::kQueries;
    const bool cut = first_keys_of(turn.tile).greatest > key || end_key(a, tile_query) < key + T::kKeys;

#pragma unroll 1
    for (int part = 0; part < T::kQueries; part += T::kPart) {
      const int thread = ptx::opaque(static_cast<int>(threadIdx.x)), lane = thread % 32,
                warp_key = thread / 32 * 16 * R;
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
      if (a.dropout.keys != nullptr) mark_dropped(a, sample, turn.head, tile_query + part, key + warp_key, p);
      if constexpr (T::kDv) {
        float kept[R][N][4];
#pragma unroll
        for (int r = 0; r < R; ++r)
#pragma unroll
          for (int n = 0; n < N; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) kept[r][n][i] = fmaxf(p[r][n][i], 0.0F);
        multiply_accumulators(fragments, kept, d_out, part, dv);
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
              const float dp = p[r][n][i] < 0.0F ? 0.0F : ds[r][n][i];
              ds[r][n][i] = fabsf(p[r][n][i]) * (dp * a.dropout.scale - delta);
            }
          }
        multiply_accumulators(fragments, ds, q, part, dk);
        if constexpr (T::kDq) store_scores(ds, memory + T::kScores, warp_key, part);
      }
    }
    if constexpr (T::kDq) {
      __syncthreads();
      const std::int64_t first_row = static_cast<std::int64_t>(sample) * a.queries + tile_query;
      add_query_gradients<D, T::kKeys, T::kQueries>(memory + T::kScores, memory,
                                                    w.dq + (first_row * a.heads + turn.head) * D, a.heads * D,
                                                    min(a.queries - tile_query, T::kQueries));
    }
    turn = after;
  }

  ptx::cp_async_wait<0>();
  __syncthreads();  // nobody reads K and V any more: their rows serve for the way out
  const int warp_key = static_cast<int>(threadIdx.x) / 32 * 16 * R;
  float factors[R][2];
  const auto leave = [&](const auto& sum, float factor, unsigned char* tile, const Rows<bf16>& rows) {
#pragma unroll
    for (int r = 0; r < R; ++r) factors[r][0] = factors[r][1] = factor;
    store_rows<D>(sum, factors, tile, warp_key,
                  rows.data + (sample_keys + key + warp_key) * rows.stride + kv_head * D, rows.stride,
                  a.keys - key - warp_key);
  };
  if constexpr (T::kDk) leave(dk, a.scale, memory + T::kKeyBytes, g.dk);
  if constexpr (T::kDv) leave(dv, a.dropout.scale, memory, g.dv);
}

template <int D, Sums kSums, bool kOrdered>
void launch_one(const Attention<bf16>& a, const AttentionGradients<bf16>& g, const BackwardWorkspace& w,
                cudaStream_t stream) {
  using T = Tiles<D, kSums, kOrdered>;
  const dim3 grid(static_cast<unsigned>((a.keys + T::kKeys - 1) / T::kKeys),
                  static_cast<unsigned>(a.kv_heads), static_cast<unsigned>(a.samples));
  launch(key_gradients_kernel<D, kSums, kOrdered>, grid, dim3(kThreads), T::kSharedBytes, stream, a, g, w);
}

template <bool kOrdered>
void launch_all(const Attention<bf16>& a, const AttentionGradients<bf16>& g, const BackwardWorkspace& w,
                cudaStream_t stream) {
  switch (a.head_dim) {
    case 64: return launch_one<64, Sums::both, kOrdered>(a, g, w, stream);
    case 96: return launch_one<96, Sums::both, kOrdered>(a, g, w, stream);
    case 128: return launch_one<128, Sums::both, kOrdered>(a, g, w, stream);
    default:
      launch_one<256, Sums::values, true>(a, g, w, stream);
      launch_one<256, Sums::keys, kOrdered>(a, g, w, stream);
  }
}

}  // namespace

void attention_key_gradients(const Attention<bf16>& a, const AttentionGradients<bf16>& g,
                             const BackwardWorkspace& w, cudaStream_t stream) {
  if (w.dq == nullptr) {
    launch_all<true>(a, g, w, stream);
  } else {
    launch_all<false>(a, g, w, stream);
  }
}

}  // namespace headwater::kernels
