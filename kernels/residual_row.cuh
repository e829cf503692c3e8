#pragma once
// out = x + dropout(branch) as a row that a norm is taken of (HeldRow).

#include "dropout_rows.cuh"
#include "norm_row.cuh"

namespace headwater::kernels {

template <class T, int kN>
struct ResidualRow {
  const T *branch, *x;
  DropoutRow mask;
  T* out;  // may be x

  struct Raw {
    Chunk<T, kN> branch, x;
  };
  __device__ __forceinline__ Raw fetch(std::uint32_t column) const {
    return {Chunk<T, kN>::load_once(branch + column), Chunk<T, kN>::load(x + column)};
  }
  __device__ __forceinline__ Chunk<T, kN> make(const Raw& raw, std::uint32_t column) const {
    float v[kN], skip[kN];
    raw.branch.unpack(v), raw.x.unpack(skip);
    mask.apply(column, v);
    for (int i = 0; i < kN; ++i) v[i] += skip[i];
    return Chunk<T, kN>::pack(v);
  }
  __device__ __forceinline__ void keep(std::uint32_t column, const Chunk<T, kN>& chunk) const {
    chunk.store(out + column);
  }
  __device__ __forceinline__ Chunk<T, kN> again(std::uint32_t column) const {
    return Chunk<T, kN>::load(out + column);
  }
};

}  // namespace headwater::kernels
