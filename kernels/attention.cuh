#pragma once
// Says which keys a query reaches, and by which number dropout knows an element: all attention kernels share
// both.

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

// The counter of dropout's element (head, query, key), of whose eight elements it is number key mod 8.
template <class T>
__device__ __forceinline__ std::uint64_t dropout_counter(const Attention<T>& a, int head, int query,
                                                         int key) {
  const std::uint64_t row = static_cast<std::uint64_t>(a.first_head + head) * a.queries + query;
  return row * ((a.keys + 7) / 8) + key / 8;
}

// The least and the greatest first key of the queries of a tile.
struct FirstKeys {
  int least, greatest;
};

// Lies in shared memory: the threads of a block tell each other by it what a tile of queries reaches.
template <int kQueries>
struct RowsOfTile {
  int first[kQueries];  // first keys
  FirstKeys of_warp[kQueries / 32];
};

// Returns the least and the greatest first key of the kQueries queries from `query`. All kThreads ≥ kQueries
// threads of the block call it, and a barrier must pass before `rows` is written again.
template <int kQueries, int kThreads, class T>
__device__ __forceinline__ FirstKeys first_keys(const Attention<T>& a, int sample, int query,
                                                RowsOfTile<kQueries>& rows) {
  static_assert(kThreads >= kQueries && kQueries % 32 == 0);
  const int row = static_cast<int>(threadIdx.x);
  if (row < kQueries) {  // whole warps
    const int first = first_key(a, sample, query + row);
    rows.first[row] = first;
    int least = first, greatest = first == INT_MAX ? 0 : first;
    for (int step = 16; step > 0; step /= 2) {
      least = min(least, ptx::shuffle_xor(least, step));
      greatest = max(greatest, ptx::shuffle_xor(greatest, step));
    }
    if (row % 32 == 0) rows.of_warp[row / 32] = {least, greatest};
  }
  __syncthreads();
  FirstKeys keys = rows.of_warp[0];
  for (int warp = 1; warp < kQueries / 32; ++warp) {
    keys.least = min(keys.least, rows.of_warp[warp].least);
    keys.greatest = max(keys.greatest, rows.of_warp[warp].greatest);
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
