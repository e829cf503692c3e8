#pragma once
// Tiles of bf16 rows in shared memory, and products of them on tensor cores.
//
// A tile has rows of D elements without padding. Its 16-byte chunks are swizzled so that ldmatrix, which
// reads the same chunk of eight rows that follow each other, meets eight different groups of four banks:
// chunk c of row r lies in place c ^ (r mod 8) where a row fills whole lines of 128 bytes; at D = 96 rows
// begin in the first and in the second half of a line by turns, and c ^ (r / 2 mod 4) serves.
//
// Products are D += A·B of 16×16 by 16×8 fragments (ptx.cuh has their layout): a warp's accumulators float
// [R][N][4] are R row tiles of 16 by N column tiles of 8. In a fragment lane l owns rows l / 4 and l / 4 + 8,
// columns 2(l mod 4) and + 1.

#include "kernels.h"
#include "ptx.cuh"

namespace headwater::kernels {

template <int D>
__device__ __forceinline__ int swizzle(int row) {
  static_assert(D % 64 == 0 || D == 96);
  return D == 96 ? (row >> 1) & 3 : row & 7;
}

// Bytes from a tile's beginning.
template <int D>
__device__ __forceinline__ int tile_offset(int row, int chunk) {
  return row * 2 * D + ((chunk ^ swizzle<D>(row)) << 4);
}

// Copies rows `first`, …, first + kRows − 1 of a matrix into a tile, with zeros for those from `end` (>
// first) on; the thread's share, asynchronously.
template <int kRows, int D, int kThreads>
__device__ __forceinline__ void load_tile(unsigned char* tile, const bf16* matrix, int stride, int first,
                                          int end) {
  constexpr int kChunks = D / 8;
  static_assert(kRows * kChunks % kThreads == 0);
  const int thread = ptx::opaque_thread<kThreads>();
#pragma unroll
  for (int i = 0; i < kRows * kChunks / kThreads; ++i) {
    const int piece = i * kThreads + thread, row = piece / kChunks, chunk = piece % kChunks;
    const bf16* const from =
        matrix + chunk * 8 + static_cast<std::int64_t>(min(first + row, end - 1)) * stride;
    ptx::cp_async<16>(tile + tile_offset<D>(row, chunk), from, first + row < end ? 16 : 0);
  }
}

// The row of a tile that a lane gives to ldmatrix, (row, chunk) from the fragment's corner, which at() adds:
// its row a multiple of 16, its chunk even.
template <int D>
struct LaneRow {
  int row_bytes, column;
  __device__ __forceinline__ LaneRow(int row, int chunk)
      : row_bytes(row * 2 * D), column((chunk ^ swizzle<D>(row)) << 4) {}
  __device__ __forceinline__ const unsigned char* at(const unsigned char* tile, int row, int chunk) const {
    return tile + row * 2 * D + row_bytes + (column ^ (chunk << 4));
  }
};

// Fragments of a tile: as stored, an A of rows × columns, or two neighbouring B whose columns are the tile's
// rows; transposed, two B of rows × columns or an A of columns × rows. Made anew in each turn of a loop from
// an opaque lane, so that the addresses of all fragments need no registers over the loop.
template <int D>
struct Fragments {
  LaneRow<D> down, across;
  __device__ __forceinline__ Fragments() : Fragments(ptx::opaque_thread<32>()) {}
  __device__ __forceinline__ explicit Fragments(int lane)
      : down(lane & 15, lane >> 4), across((lane & 7) + (lane >> 4) * 8, (lane >> 3) & 1) {}

  __device__ __forceinline__ void a(std::uint32_t (&r)[4], const unsigned char* tile, int row,
                                    int column) const {
    ptx::ldmatrix_x4(r, down.at(tile, row, column / 8));
  }
  // r[0], r[1] for columns = rows `row` to + 7 of the tile, r[2], r[3] for the eight after them; depth from
  // `column`.
  __device__ __forceinline__ void two_b(std::uint32_t (&r)[4], const unsigned char* tile, int row,
                                        int column) const {
    ptx::ldmatrix_x4(r, across.at(tile, row, column / 8));
  }
  // r[0], r[1] for columns `column` to + 7, r[2], r[3] for the eight after them; depth from `row`.
  __device__ __forceinline__ void two_b_transposed(std::uint32_t (&r)[4], const unsigned char* tile, int row,
                                                   int column) const {
    ptx::ldmatrix_x4_trans(r, down.at(tile, row, column / 8));
  }
  // An A whose rows are columns `column`, … of the tile; depth from `row`.
  __device__ __forceinline__ void a_transposed(std::uint32_t (&r)[4], const unsigned char* tile, int row,
                                               int column) const {
    ptx::ldmatrix_x4_trans(r, across.at(tile, row, column / 8));
  }
};

template <int R, int N>
__device__ __forceinline__ void clear(float (&x)[R][N][4]) {
#pragma unroll
  for (int r = 0; r < R; ++r)
#pragma unroll
    for (int n = 0; n < N; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) x[r][n][i] = 0.0F;
}

// out[r][n] = rows `a_row` + 16 r of tile `a` times rows `b_row` + 8 n of tile `b`, over their D columns.
template <int D, int R, int N>
__device__ __forceinline__ void multiply_rows(const Fragments<D>& fragments, const unsigned char* a,
                                              int a_row, const unsigned char* b, int b_row,
                                              float (&out)[R][N][4]) {
  clear(out);
#pragma unroll D / \
    32  // in two turns: of one the compiler would load more fragments ahead than there are registers for
  for (int k = 0; k < D; k += 16) {
    std::uint32_t left[R][4];
#pragma unroll
    for (int r = 0; r < R; ++r) fragments.a(left[r], a, a_row + 16 * r, k);
#pragma unroll
    for (int n = 0; n < N; n += 2) {
      std::uint32_t right[4];
      fragments.two_b(right, b, b_row + 8 * n, k);
#pragma unroll
      for (int r = 0; r < R; ++r) {
        ptx::mma_m16n8k16_bf16(out[r][n], left[r], right[0], right[1]);
        ptx::mma_m16n8k16_bf16(out[r][n + 1], left[r], right[2], right[3]);
      }
    }
  }
}

// Accumulators rounded to bf16. Columns 8 n of tile n and 8 n + 8 of the next are an A fragment: packed[r][n
// / 2].
template <int R, int N>
__device__ __forceinline__ void pack_accumulators(const float (&x)[R][N][4],
                                                  std::uint32_t (&packed)[R][N / 2][4]) {
#pragma unroll
  for (int r = 0; r < R; ++r)
#pragma unroll
    for (int n = 0; n < N; ++n)
#pragma unroll
      for (int half = 0; half < 2; ++half)
        packed[r][n / 2][n % 2 * 2 + half] = ptx::pack_bf16(x[r][n][2 * half], x[r][n][2 * half + 1]);
}

// sum[r] += packed[r] · (rows `b_row`, … of tile `b`).
template <int D, int R, int K>
__device__ __forceinline__ void multiply_packed(const Fragments<D>& fragments,
                                                const std::uint32_t (&packed)[R][K][4],
                                                const unsigned char* b, int b_row,
                                                float (&sum)[R][D / 8][4]) {
#pragma unroll
  for (int k = 0; k < K; ++k) {
#pragma unroll
    for (int n = 0; n < D / 8; n += 2) {
      std::uint32_t right[4];
      fragments.two_b_transposed(right, b, b_row + 16 * k, 8 * n);
#pragma unroll
      for (int r = 0; r < R; ++r) {
        ptx::mma_m16n8k16_bf16(sum[r][n], packed[r][k], right[0], right[1]);
        ptx::mma_m16n8k16_bf16(sum[r][n + 1], packed[r][k], right[2], right[3]);
      }
    }
  }
}

// Writes a warp's accumulators, factor[r][half] times rows 16 r + 8 half, …, as bf16 rows of global memory,
// of which the first `valid` exist. They go through rows `tile_row`, … of a tile that no other warp uses now,
// to leave by 16 bytes.
template <int D, int R>
__device__ __forceinline__ void store_rows(const float (&x)[R][D / 8][4], const float (&factor)[R][2],
                                           unsigned char* tile, int tile_row, bf16* rows, std::int64_t stride,
                                           int valid) {
  constexpr int kChunks = D / 8;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  __syncwarp();  // the warp's own reads of these rows are over
#pragma unroll
  for (int r = 0; r < R; ++r)
#pragma unroll
    for (int n = 0; n < D / 8; ++n)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = tile_row + 16 * r + 8 * half + lane / 4;
        *reinterpret_cast<std::uint32_t*>(tile + tile_offset<D>(row, n) + lane % 4 * 4) =
            ptx::pack_bf16(x[r][n][2 * half] * factor[r][half], x[r][n][2 * half + 1] * factor[r][half]);
      }
  __syncwarp();
  for (int piece = lane; piece < 16 * R * kChunks; piece += 32) {
    const int row = piece / kChunks, chunk = piece % kChunks;
    if (row >= valid) break;
    ptx::store_16(rows + row * stride + chunk * 8,
                  ptx::load_16(tile + tile_offset<D>(tile_row + row, chunk)));
  }
}

}  // namespace headwater::kernels
