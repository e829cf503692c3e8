#pragma once
// How the backward of a norm walks rows: a block a group of them (column_sums.cuh), a thread the same columns
// of each.

#include "rows.cuh"

namespace headwater::kernels {

constexpr std::int64_t kGroupThreads = 512;
// Chunks of a row that a thread has in registers, with the sums of their columns. Of a wider row it reads the
// others twice, the second time from cache, and has their sums in memory.
constexpr int kParts = 2;

inline unsigned group_threads(std::int64_t columns, int chunk) {
  return row_threads(columns, chunk * kParts, kGroupThreads);
}

// A chunk of what the gradient of a row is made of; without an addend that part is zero.
template <class T, int kN>
struct NormGradient {
  Chunk<T, kN> dy, x, addend;
};

// Sums of a group, of which 4-byte alignment is all that is known.
template <int kN>
__device__ __forceinline__ void load_sums(const float* from, float (&v)[kN]) {
  for (int i = 0; i < kN; ++i) v[i] = from[i];
}
template <int kN>
__device__ __forceinline__ void store_sums(float* to, const float (&v)[kN]) {
  for (int i = 0; i < kN; ++i) to[i] = v[i];
}

template <class T, int kN, bool kAddend>
struct GroupRows {
  const Rows<const T> dy, x, addend;
  const std::int64_t rows, columns;

  __device__ __forceinline__ std::int64_t column(int part) const {
    return (static_cast<std::int64_t>(part) * blockDim.x + threadIdx.x) * kN;
  }
  __device__ __forceinline__ bool has(int part) const { return column(part) < columns; }
  __device__ __forceinline__ NormGradient<T, kN> ask(std::int64_t row, std::int64_t at) const {
    NormGradient<T, kN> chunk{Chunk<T, kN>::load(dy.row(row) + at), Chunk<T, kN>::load(x.row(row) + at),
                              Chunk<T, kN>::zero()};
    if constexpr (kAddend) chunk.addend = Chunk<T, kN>::load(addend.row(row) + at);
    return chunk;
  }
  // A thread's parts of a row; what it does not have stays as it is.
  __device__ __forceinline__ void ask(std::int64_t row, NormGradient<T, kN> (&parts)[kParts]) const {
#pragma unroll
    for (int part = 0; part < kParts; ++part)
      if (row < rows && has(part)) parts[part] = ask(row, column(part));
  }
  // body(part) for those that the thread has.
  template <class Body>
  __device__ __forceinline__ void for_parts(const Body& body) const {
#pragma unroll
    for (int part = 0; part < kParts; ++part)
      if (has(part)) body(part);
  }
  // body(column) for the chunks of a wider row. The loop is not unrolled: that would take the registers of a
  // second block, for the sake of rows that are seldom so wide.
  template <class Body>
  __device__ __forceinline__ void beyond(const Body& body) const {
#pragma unroll 1
    for (std::int64_t at = column(kParts); at < columns; at += static_cast<std::int64_t>(blockDim.x) * kN)
      body(at);
  }
};

}  // namespace headwater::kernels
