#pragma once
// A warp's tile of scores, query rows by key columns, in accumulators (attention_tiles.cuh): masks, and the
// running softmax of flash attention (Rabe & Staats 2021; Dao et al. 2022), in powers of two.

#include "attention.cuh"

#include <cmath>

namespace headwater::kernels {

inline constexpr float kLog2E = 1.4426950408889634F;
inline constexpr float kLn2 = 0.6931471805599453F;

// scores ← −∞ where the query does not reach the key; `query` is that of row 0, whose first keys `first`
// begins with, `key` that of column 0. Few tiles are cut: what only they need is computed here, and needs no
// registers elsewhere.
template <class T, int R, int N>
__device__ __forceinline__ void mask_scores(const Attention<T>& a, int query, const int* first, int key,
                                            float (&scores)[R][N][4]) {
  const int lane = ptx::opaque_thread<32>();
#pragma unroll
  for (int r = 0; r < R; ++r)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = 16 * r + 8 * half + lane / 4, from = first[row], end = end_key(a, query + row);
#pragma unroll
      for (int n = 0; n < N; ++n)
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          const int at = key + 8 * n + lane % 4 * 2 + i % 2;
          if (at < from || at >= end) scores[r][n][i] = -INFINITY;
        }
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
