#pragma once
// Tiles of attention on plain FMAs: kTile rows of a matrix, of any head size and alignment, as fp32 in shared
// memory. A row is padded with zeros to `width`, a multiple of 16, and rows lie an odd number of words apart,
// so that the same column of 32 rows lies in 32 banks. A block has four threads for each row of a tile:
// thread 4 r + l works on row r, columns l, l + 4, ….

#include "attention.cuh"
#include "vector.cuh"

namespace headwater::kernels {

template <int kTile>
struct PlainTile {
  float* data;
  int width;
  __device__ __forceinline__ float& at(int row, int column) const { return data[row * (width + 1) + column]; }
  __host__ __device__ static constexpr int floats(int width) { return kTile * (width + 1); }

  // `rows` begins at the tile's first row and first column; the first `valid` rows exist.
  template <class T>
  __device__ __forceinline__ void load(const T* rows, std::int64_t stride, int valid, int head_dim) const {
    for (int i = static_cast<int>(threadIdx.x); i < kTile * width; i += 4 * kTile) {
      const int row = i / width, column = i % width;
      at(row, column) = row < valid && column < head_dim ? to_float(rows[row * stride + column]) : 0.0F;
    }
  }
  template <class T>
  __device__ __forceinline__ void store(T* rows, std::int64_t stride, int valid, int head_dim,
                                        float factor) const {
    for (int i = static_cast<int>(threadIdx.x); i < kTile * width; i += 4 * kTile) {
      const int row = i / width, column = i % width;
      if (row < valid && column < head_dim)
        rows[row * stride + column] = from_float<T>(factor * at(row, column));
    }
  }
  __device__ __forceinline__ void clear() const {
    for (int i = static_cast<int>(threadIdx.x); i < floats(width); i += 4 * kTile) data[i] = 0.0F;
  }
};

// The thread's products of row tid / 4 of `a` with rows tid mod 4, + 4, … of `b`.
template <int kTile>
__device__ __forceinline__ void plain_products(const PlainTile<kTile>& a, const PlainTile<kTile>& b,
                                               float (&product)[kTile / 4]) {
  const int row = static_cast<int>(threadIdx.x) / 4, first = static_cast<int>(threadIdx.x) % 4;
  for (float& p : product) p = 0.0F;
  for (int d = 0; d < a.width; ++d) {
    const float x = a.at(row, d);
#pragma unroll
    for (int c = 0; c < kTile / 4; ++c) product[c] += x * b.at(first + 4 * c, d);
  }
}

// sum's row tid / 4 ← factor · itself + Σ_j weight(j) · (row j of b), the thread's columns.
template <int kTile, class Weight>
__device__ __forceinline__ void plain_add_rows(const PlainTile<kTile>& sum, float factor, Weight weight,
                                               const PlainTile<kTile>& b) {
  const int row = static_cast<int>(threadIdx.x) / 4, first = static_cast<int>(threadIdx.x) % 4;
  for (int column = first; column < sum.width; column += 16) {
    float added[4] = {};
    for (int j = 0; j < kTile; ++j) {
      const float w = weight(j);
#pragma unroll
      for (int i = 0; i < 4; ++i) added[i] += w * b.at(j, column + 4 * i);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) sum.at(row, column + 4 * i) = factor * sum.at(row, column + 4 * i) + added[i];
  }
}

// The thread's values of keys `key` + tid mod 4, + 4, … times dropout's factors; `key` is a multiple of 8.
template <int kTile, class T>
__device__ __forceinline__ void plain_dropout(const Attention<T>& a, int sample, int head, int query, int key,
                                              float (&values)[kTile / 4]) {
  if (a.dropout.keys == nullptr) return;
  const SampleMask mask(a.dropout, sample);
  const std::uint64_t counter = dropout_counter(a, head, query, key);
#pragma unroll
  for (int octet = 0; octet < kTile / 8; ++octet) {
    std::uint32_t kept = 0;
    mask.add_eight(kept, counter + static_cast<unsigned>(octet));
    kept >>= threadIdx.x % 4;
    values[2 * octet] *= (kept & 1U) != 0 ? a.dropout.scale : 0.0F;
    values[2 * octet + 1] *= (kept & 16U) != 0 ? a.dropout.scale : 0.0F;
  }
}

// The least first key of the kTile queries from `query`: the tile of keys that it lies in is the first of the
// queries' walk.
template <int kTile, class T>
__device__ __forceinline__ int least_first_key(const Attention<T>& a, int sample, int query) {
  int least = INT_MAX;
  for (int row = 0; row < kTile; ++row) least = min(least, first_key(a, sample, query + row));
  return least;
}

inline int plain_width(int head_dim) { return (head_dim + 15) / 16 * 16; }

// Head sizes up to kPlainWidest<32> have tiles of 32 rows, those up to kPlainWidest<16> of 16.
template <int kTile>
inline constexpr int kPlainWidest = kTile == 32 ? 128 : 256;

// Returns the shared memory of a block that has `tiles` tiles of `width` columns and `score_tiles` of scores.
template <int kTile>
__host__ __device__ constexpr int plain_shared_bytes(int tiles, int score_tiles,
                                                     int width = kPlainWidest<kTile>) {
  return static_cast<int>(sizeof(float)) *
         (tiles * PlainTile<kTile>::floats(width) + score_tiles * PlainTile<kTile>::floats(kTile));
}

}  // namespace headwater::kernels
