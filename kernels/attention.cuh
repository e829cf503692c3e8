#pragma once
// What all attention kernels share: which keys a query reaches, and the numbers of dropout's elements.

#include "dropout.cuh"
#include "kernels.h"
#include "ptx.cuh"

#include <climits>

namespace headwater::kernels {

// A query reaches the keys [first, end) of its sample; a query past the last one reaches none.
template <class T>
__device__ __forceinline__ int first_key(const Attention<T>& a, int sample, int query) {
  if (query >= a.queries) return INT_MAX;
  const std::int64_t row = static_cast<std::int64_t>(sample) * a.queries + query;
  const std::int64_t first = a.start[row] - a.start_offset - static_cast<std::int64_t>(sample) * a.keys;
  return first > 0 ? static_cast<int>(first) : 0;
}
template <class T>
__device__ __forceinline__ int end_key(const Attention<T>& a, int query) {
  return min(a.keys, query + a.query_offset + 1);
}

// The counter of dropout's element (head, query, key), whose word is key mod 4.
template <class T>
__device__ __forceinline__ std::uint64_t dropout_counter(const Attention<T>& a, int head, int query,
                                                         int key) {
  const std::uint64_t row = static_cast<std::uint64_t>(a.first_head + head) * a.queries + query;
  return row * ((a.keys + 3) / 4) + key / 4;
}

// The least and the greatest first key of the queries of a tile.
struct FirstKeys {
  int least, greatest;
};

// Of the kRows queries from `query`; each is also left in `of_row`. All kThreads ≥ kRows threads of the block
// call it, and a barrier must pass before `of_row` and `partial` are written again.
template <int kRows, int kThreads, class T>
__device__ __forceinline__ FirstKeys first_keys(const Attention<T>& a, int sample, int query,
                                                int (&of_row)[kRows], FirstKeys (&partial)[kRows / 32]) {
  static_assert(kThreads >= kRows && kRows % 32 == 0);
  const int row = static_cast<int>(threadIdx.x);
  if (row < kRows) {  // whole warps
    const int first = first_key(a, sample, query + row);
    of_row[row] = first;
    int least = first, greatest = first == INT_MAX ? 0 : first;
    for (int step = 16; step > 0; step /= 2) {
      least = min(least, ptx::shuffle_xor(least, step));
      greatest = max(greatest, ptx::shuffle_xor(greatest, step));
    }
    if (row % 32 == 0) partial[row / 32] = {least, greatest};
  }
  __syncthreads();
  FirstKeys keys = partial[0];
  for (int warp = 1; warp < kRows / 32; ++warp) {
    keys.least = min(keys.least, partial[warp].least);
    keys.greatest = max(keys.greatest, partial[warp].greatest);
  }
  return keys;
}

// Whether the tensor cores' kernels can take q, k and v; they need other tensors aligned too.
bool on_tensor_cores(const Attention<bf16>& a);
template <class T>
bool aligned_16(const Rows<T>& rows) {
  return reinterpret_cast<std::uintptr_t>(rows.data) % 16 == 0 && rows.stride * sizeof(T) % 16 == 0;
}

// On plain FMAs: any head size, any alignment (attention_plain.cu).
template <class T>
void plain_attention(const Attention<T>& a, Rows<T> out, Rows<float> lse, cudaStream_t stream);

}  // namespace headwater::kernels
