#pragma once
// How kernels walk the rows of a matrix. Work is cut into chunks of kN columns, which are floats in
// registers: kN is what 16 bytes of the widest type hold where addresses, row strides and the number of
// columns allow it (fit_vectors), else 1. Two ways to share it out: RowGrid, for what is done element by
// element, and a block for each row (row_threads), for what needs a sum over the row.

#include "kernels.h"
#include "vector.cuh"

#include <algorithm>

namespace headwater::kernels {

// ---- on the host: may chunks be vectors, and the shape of the launch
// ----------------------------------------------------

template <class... Ts>
constexpr int kVector = 16 / static_cast<int>(std::max({sizeof(Ts)...}));

template <class T>
bool aligned(Rows<T> x, std::int64_t bytes) {
  return reinterpret_cast<std::uintptr_t>(x.data) % static_cast<std::uintptr_t>(bytes) == 0 &&
         x.stride * static_cast<std::int64_t>(sizeof(T)) % bytes == 0;
}

// Whether chunks of kVector<Ts...> columns fit all of these; null pointers do.
template <class... Ts>
bool fit_vectors(std::int64_t columns, Rows<Ts>... matrices) {
  constexpr int kN = kVector<Ts...>;
  return columns % kN == 0 && (aligned(matrices, kN * static_cast<int>(sizeof(Ts))) && ...);
}

// A vector as the only row of a matrix, or as a row that all rows share.
template <class T>
Rows<T> one_row(T* x) {
  return {x, 0};
}

constexpr std::int64_t kWarp = 32;

// Threads of a block that has a row to itself: one for each chunk, up to `most`.
constexpr std::int64_t kRowThreads = 1024;
inline unsigned row_threads(std::int64_t columns, int chunk, std::int64_t most = kRowThreads) {
  const std::int64_t chunks = (columns + chunk - 1) / chunk;
  return static_cast<unsigned>(std::clamp((chunks + kWarp - 1) / kWarp * kWarp, kWarp, most));
}

// Blocks over columns (x) and rows (y); what the grid does not cover at once is walked in strides.
struct RowGrid {
  static constexpr std::int64_t kMaxThreads = 256, kMaxBlocks = 132 * 16;
  dim3 grid;
  unsigned threads;

  RowGrid(std::int64_t rows, std::int64_t columns, int chunk)
      : threads(row_threads(columns, chunk, kMaxThreads)) {
    const std::int64_t width = static_cast<std::int64_t>(threads) * chunk;
    const std::int64_t across = std::clamp<std::int64_t>((columns + width - 1) / width, 1, kMaxBlocks);
    const std::int64_t down =
        std::clamp<std::int64_t>(kMaxBlocks / across, 1, std::max<std::int64_t>(rows, 1));
    grid = dim3(static_cast<unsigned>(across), static_cast<unsigned>(down));
  }
};

// ---- on the device
// -------------------------------------------------------------------------------------------------------

// body(row, first column) for each chunk of a RowGrid.
template <int kN, class Body>
__device__ __forceinline__ void for_each_chunk(std::int64_t rows, std::int64_t columns, const Body& body) {
  const std::int64_t first = (static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * kN;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x * kN;
  for (std::int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    for (std::int64_t column = first; column < columns; column += step) body(row, column);
  }
}

template <int kN, class T>
__device__ __forceinline__ void load(const T* from, float (&v)[kN]) {
  if constexpr (kN == 1) {
    v[0] = to_float(*from);
  } else if constexpr (kN * sizeof(T) == 8) {  // bf16 beside float
    const uint2 bits = *reinterpret_cast<const uint2*>(from);
    v[0] = ptx::low_bf16(bits.x), v[1] = ptx::high_bf16(bits.x);
    v[2] = ptx::low_bf16(bits.y), v[3] = ptx::high_bf16(bits.y);
  } else {
    for (int first = 0; first < kN; first += Pack<T>::kElements) {
      const Pack<T> pack = Pack<T>::load(from + first);
      for (int i = 0; i < Pack<T>::kElements; ++i) v[first + i] = pack.value[i];
    }
  }
}

// Of what this kernel does not write and reads no second time.
template <int kN, class T>
__device__ __forceinline__ void load_once(const T* from, float (&v)[kN]) {
  if constexpr (kN == Pack<T>::kElements) {
    const Pack<T> pack = Pack<T>::load_once(from);
    for (int i = 0; i < kN; ++i) v[i] = pack.value[i];
  } else {
    load<kN>(from, v);
  }
}

template <int kN, class T>
__device__ __forceinline__ void store(T* to, const float (&v)[kN]) {
  if constexpr (kN == 1) {
    *to = from_float<T>(v[0]);
  } else if constexpr (kN * sizeof(T) == 8) {
    *reinterpret_cast<uint2*>(to) = uint2{ptx::pack_bf16(v[0], v[1]), ptx::pack_bf16(v[2], v[3])};
  } else {
    for (int first = 0; first < kN; first += Pack<T>::kElements) {
      Pack<T> pack;
      for (int i = 0; i < Pack<T>::kElements; ++i) pack.value[i] = v[first + i];
      pack.store(to + first);
    }
  }
}

// v as it will be read back from memory of type T.
template <class T, int kN>
__device__ __forceinline__ void round_to(float (&v)[kN]) {
  for (int i = 0; i < kN; ++i) v[i] = to_float(from_float<T>(v[i]));
}

// The sum over a block of any number of warps; every thread gets it, and all must call. `partial` may be used
// again after the next barrier only.
__device__ __forceinline__ float row_sum(float x, float (&partial)[kWarp]) {
  x = warp_sum(x);
  if (threadIdx.x % kWarp == 0) partial[threadIdx.x / kWarp] = x;
  __syncthreads();
  float sum = 0.0F;
  for (unsigned warp = 0; warp < blockDim.x / kWarp; ++warp) sum += partial[warp];
  return sum;
}

}  // namespace headwater::kernels
