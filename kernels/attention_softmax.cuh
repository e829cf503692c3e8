#pragma once
// A warp's tile of scores, query rows by key columns, in accumulators (attention_tiles.cuh): masks, dropout,
// and the running softmax of flash attention (Rabe & Staats 2021; Dao et al. 2022), in powers of two.

#include "attention.cuh"

#include <cmath>

namespace headwater::kernels {

inline constexpr float kLog2E = 1.4426950408889634F;
inline constexpr float kLn2 = 0.6931471805599453F;

// The warp's query rows: accumulator row 16 r + 8 half + lane / 4 counts from `query`.
template <int R>
struct QueryRows {
  int query;  // of r = 0, half = 0 in this lane
  int first[R][2], end[R][2];

  template <class T>
  __device__ __forceinline__ QueryRows(const Attention<T>& a, int warp_query, const int* first_of_row)
      : query(warp_query + static_cast<int>(threadIdx.x) % 32 / 4) {
#pragma unroll
    for (int r = 0; r < R; ++r)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        first[r][half] = first_of_row[static_cast<int>(threadIdx.x) % 32 / 4 + 16 * r + 8 * half];
        end[r][half] = end_key(a, query + 16 * r + 8 * half);
      }
  }
};

// scores ← −∞ where the query does not reach the key; `key` is that of column 0.
template <int R, int N>
__device__ __forceinline__ void mask_scores(const QueryRows<R>& rows, int key, float (&scores)[R][N][4]) {
  key += static_cast<int>(threadIdx.x) % 4 * 2;
#pragma unroll
  for (int r = 0; r < R; ++r)
#pragma unroll
    for (int n = 0; n < N; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int at = key + 8 * n + i % 2;
        if (at < rows.first[r][i / 2] || at >= rows.end[r][i / 2]) scores[r][n][i] = -INFINITY;
      }
}

// Which of a lane's four elements of a 16×8 tile dropout keeps: bit i for accumulator i. The tile has 32
// counters of four keys each; lanes 2p and 2p + 1 need the same two, so that each makes one (of the upper
// rows, of the lower) and gives it to the other.
template <class T>
__device__ __forceinline__ unsigned kept_accumulators(const Attention<T>& a, int sample, int head, int query,
                                                      int key) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const bool odd = lane % 2 != 0;
  const unsigned mine = kept_of_four(a.dropout, sample,
                                     dropout_counter(a, head, query + (odd ? 8 : 0), key + lane % 4 / 2 * 4));
  const unsigned other = ptx::shuffle_xor(mine, 1);
  return odd ? other >> 2U | (mine >> 2U) << 2U : (mine & 3U) | (other & 3U) << 2U;
}

// Four bits, as above, for each of a row of N tiles of 16×8; N ≤ 8. A loop that stays one: unrolled, the
// generator would take the registers of the accumulators.
template <int N, class T>
__device__ __forceinline__ unsigned kept_row(const Attention<T>& a, int sample, int head, int query,
                                             int key) {
  static_assert(N <= 8);
  unsigned kept = 0;
#pragma unroll 1
  for (int n = 0; n < N; ++n)
    kept |= kept_accumulators(a, sample, head, query, key + 8 * n) << static_cast<unsigned>(4 * n);
  return kept;
}

template <class T, int R, int N>
__device__ __forceinline__ void drop(const Attention<T>& a, int sample, int head, int query, int key,
                                     float (&weights)[R][N][4]) {
#pragma unroll
  for (int r = 0; r < R; ++r) {
    const unsigned kept = kept_row<N>(a, sample, head, query + 16 * r, key);
#pragma unroll
    for (int n = 0; n < N; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        weights[r][n][i] *= (kept >> (4 * n + i) & 1U) != 0 ? a.dropout.scale : 0.0F;
  }
}

template <int R>
struct RunningSoftmax {
  float maximum[R][2], sum[R][2];  // the sum of this lane's columns only, until finish()

  __device__ __forceinline__ RunningSoftmax() {
#pragma unroll
    for (int r = 0; r < R; ++r)
#pragma unroll
      for (int half = 0; half < 2; ++half) maximum[r][half] = -INFINITY, sum[r][half] = 0.0F;
  }

  // scores ← 2^(scale · (score − maximum)); what was summed before is rescaled to the new maximum, `out` too.
  template <int N, int M>
  __device__ __forceinline__ void take(float (&scores)[R][N][4], float scale, float (&out)[R][M][4]) {
#pragma unroll
    for (int r = 0; r < R; ++r)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float greatest = maximum[r][half];
#pragma unroll
        for (int n = 0; n < N; ++n)
          greatest = fmaxf(greatest, fmaxf(scores[r][n][2 * half], scores[r][n][2 * half + 1]));
        greatest = fmaxf(greatest, ptx::shuffle_xor(greatest, 1));
        greatest = fmaxf(greatest, ptx::shuffle_xor(greatest, 2));
        const float shift =
            greatest == -INFINITY ? 0.0F : greatest * scale;  // nothing reached yet: not −∞ − (−∞)
        const float rescale = ptx::exp2(maximum[r][half] * scale - shift);
        maximum[r][half] = greatest;
        float added = 0.0F;
#pragma unroll
        for (int n = 0; n < N; ++n)
#pragma unroll
          for (int i = 2 * half; i < 2 * half + 2; ++i) {
            scores[r][n][i] = ptx::exp2(scores[r][n][i] * scale - shift);
            added += scores[r][n][i];
          }
        sum[r][half] = sum[r][half] * rescale + added;
#pragma unroll
        for (int m = 0; m < M; ++m) out[r][m][2 * half] *= rescale, out[r][m][2 * half + 1] *= rescale;
      }
  }

  // The sums of whole rows, in all four lanes of a row.
  __device__ __forceinline__ void finish() {
#pragma unroll
    for (int r = 0; r < R; ++r)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        sum[r][half] += ptx::shuffle_xor(sum[r][half], 1);
        sum[r][half] += ptx::shuffle_xor(sum[r][half], 2);
      }
  }
};

}  // namespace headwater::kernels
