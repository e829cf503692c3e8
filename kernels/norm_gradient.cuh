#pragma once
// What the backward of a norm reads of a row. A block walks a group of rows (column_sums.cuh).

#include "rows.cuh"

namespace headwater::kernels {

// Of a block, at most: as many blocks as there are groups (workspace.h) are on the chip at once.
constexpr std::int64_t kGroupThreads = 512;

// A chunk's dy and x, and where the gradient is added to it dx.
template <class T, int kN>
struct NormGradient {
  Chunk<T, kN> dy, x, dx;
};

template <class T, int kN>
struct NormRowParts {
  const Rows<const T> dy, x;
  const Rows<T> dx;
  std::int64_t rows;

  // Zeros past the last row and the last column.
  template <bool kAccumulate>
  __device__ __forceinline__ NormGradient<T, kN> fetch(std::int64_t row, std::int64_t column,
                                                       std::int64_t columns) const {
    NormGradient<T, kN> of{Chunk<T, kN>::zero(), Chunk<T, kN>::zero(), Chunk<T, kN>::zero()};
    if (row >= rows || column >= columns) return of;
    of.dy = Chunk<T, kN>::load(dy.row(row) + column);
    of.x = Chunk<T, kN>::load(x.row(row) + column);
    if constexpr (kAccumulate) of.dx = Chunk<T, kN>::load(dx.row(row) + column);
    return of;
  }
};

}  // namespace headwater::kernels
