#pragma once
// How kernels walk the rows of a matrix. Work is cut into chunks of kN columns, which are floats in
// registers: kN is what 16 bytes of the widest type hold where addresses, row strides and the number of
// columns allow it (fit_vectors), else 1. Two ways to share it out: RowGrid, for what is done element by
// element, and RowShare, a warp or a block of several for each row, for what needs a sum over the row.

#include "kernels.h"
#include "vector.cuh"

#include <algorithm>
#include <type_traits>

namespace headwater::kernels {

// ---- on the host: may chunks be vectors, and the shape of the launch

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

// Whole warps, with a thread for each chunk, up to `most`.
inline unsigned row_threads(std::int64_t columns, int chunk, std::int64_t most) {
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

// A row for each warp, four warps a block, where its lanes can keep the row in registers, kHeld chunks each;
// a longer row has a block of up to kRowThreads, which asks a second time for what it cannot keep.
constexpr int kHeld = 8;
constexpr std::int64_t kRowThreads = 256, kRowsOfBlock = 4;
struct RowShare {
  dim3 grid, block;

  RowShare(std::int64_t rows, std::int64_t columns, int chunk)
      : block(row_threads(columns, chunk * kHeld, kRowThreads)) {
    block.y = block.x == kWarp ? kRowsOfBlock : 1;
    grid = dim3(static_cast<unsigned>((rows + block.y - 1) / block.y));
  }
};

// ---- on the device

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

// Loads what this kernel does not write and reads no second time.
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

// A chunk as it is in memory: what has been asked for and is not needed yet takes no more registers than its
// bytes.
template <class T, int kN>
struct Chunk {
  static_assert(kN == 1 || kN == Pack<T>::kElements);
  std::conditional_t<kN == 1, T, uint4> bits;

  __device__ __forceinline__ static Chunk zero() { return pack({}); }
  __device__ __forceinline__ static Chunk load(const T* from) {
    if constexpr (kN == 1)
      return {*from};
    else
      return {ptx::load_16(from)};
  }
  __device__ __forceinline__ static Chunk load_once(const T* from) {
    if constexpr (kN == 1)
      return {*from};
    else
      return {ptx::load_16_once(from)};
  }
  __device__ __forceinline__ void store(T* to) const {
    if constexpr (kN == 1)
      *to = bits;
    else
      ptx::store_16(to, bits);
  }
  __device__ __forceinline__ static Chunk pack(const float (&v)[kN]) {
    if constexpr (kN == 1) {
      return {from_float<T>(v[0])};
    } else {
      Pack<T> pack;
      for (int i = 0; i < kN; ++i) pack.value[i] = v[i];
      return {pack.packed()};
    }
  }
  __device__ __forceinline__ void unpack(float (&v)[kN]) const {
    if constexpr (kN == 1) {
      v[0] = to_float(bits);
    } else {
      const Pack<T> pack = Pack<T>::unpack(bits);
      for (int i = 0; i < kN; ++i) v[i] = pack.value[i];
    }
  }
};

// The part of its row that a thread has (RowShare): kHeld chunks, `step` columns apart, and those after them.
// Columns are counted in 32 bits, so that an address is one instruction after the row's.
template <int kN>
struct RowPart {
  // So many chunks are asked for before the first is used. A batch is left out by all threads of the row or
  // by none; in one where a thread has less it takes its last chunk in place of what lies past the end.
  static constexpr int kBatch = 4;
  std::uint32_t first, step, columns;

  __device__ __forceinline__ explicit RowPart(std::int64_t c)
      : first(threadIdx.x * kN), step(blockDim.x * kN), columns(static_cast<std::uint32_t>(c)) {}
  __device__ __forceinline__ bool has_batch(int h) const { return h * step < columns; }
  __device__ __forceinline__ bool has(int h) const { return first + h * step < columns; }
  __device__ __forceinline__ std::uint32_t column(int h) const { return min(first + h * step, columns - kN); }
  template <class Body>
  __device__ __forceinline__ void beyond(const Body& body) const {
    for (std::uint32_t column = first + kHeld * step; column < columns; column += step) body(column);
  }
};

// The row that a RowShare gives to a thread.
__device__ __forceinline__ std::int64_t shared_row() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
}

// The sum over the threads of a row, of kWarps warps at most (a power of two); every one gets it, and all
// must call. `partial` is the block's, and may be used again after the next barrier only; a row of one warp
// needs neither.
template <int kWarps>
__device__ __forceinline__ float row_sum(float x, float (&partial)[kWarps]) {
  x = warp_sum(x);
  if (blockDim.x == kWarp) return x;
  if (threadIdx.x % kWarp == 0) partial[threadIdx.x / kWarp] = x;
  __syncthreads();
  const unsigned warp = threadIdx.x % kWarps;
  x = warp < blockDim.x / kWarp ? partial[warp] : 0.0F;
  for (int step = kWarps / 2; step > 0; step /= 2) x += ptx::shuffle_xor(x, step);
  return x;
}

}  // namespace headwater::kernels
