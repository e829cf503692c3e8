#pragma once
// Which elements of a warp's tile of scores dropout keeps. The tile lies in accumulators
// (attention_tiles.cuh); eight keys of a query, from a multiple of eight on, are one counter of the
// generator. Lanes that hold parts of the same counters share them out: each makes its part, turns it into
// bits, and gives every other lane the bits that it needs, so that no counter is made twice.

#include "attention.cuh"

namespace headwater::kernels {

// Queries down, keys across: R row tiles by N column tiles, N even. The four lanes of a row each need two of
// every counter's eight elements, and there are 2R·N counters for them.
template <int R, int N>
class KeptOfRows {
 public:
  // `query` is that of row 0, `key` that of column 0; both are the warp's.
  template <class T>
  __device__ __forceinline__ KeptOfRows(const Attention<T>& a, int sample, int head, int query, int key) {
    const SampleMask mask(a.dropout, sample);
    const int lane = static_cast<int>(threadIdx.x) % 4, first = lane * kMine, row = first / N;
    query += static_cast<int>(threadIdx.x) % 32 / 4 + row % 2 * 8 + row / 2 * 16;
    const std::uint64_t counter = dropout_counter(a, head, query, key) + static_cast<unsigned>(first % N);
    // What each of the four needs of this lane's counters: two bits of each. The loop stays one: unrolled,
    // the generator would take too many registers.
    std::uint32_t for_lane[4] = {};
#pragma unroll 1
    for (int i = 0; i < kMine; ++i) {
      const uint4 words = mask.words(counter + static_cast<unsigned>(i));
      mask.add_two(for_lane[0], words.x), mask.add_two(for_lane[1], words.y);
      mask.add_two(for_lane[2], words.z), mask.add_two(for_lane[3], words.w);
    }
    const std::uint32_t low = for_lane[0] | for_lane[1] << 16U, high = for_lane[2] | for_lane[3] << 16U;
    bits_[0] = bits_[1] = 0;
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      const int other = lane ^ step;
      const std::uint32_t mine = ((other < 2 ? low : high) >> (other % 2 * 16)) & 0xffffU;
      const std::uint32_t placed = (step == 0 ? mine : ptx::shuffle_xor(mine, step)) << (other % 2 * 16);
      bits_[0] |= other < 2 ? placed : 0U;
      bits_[1] |= other < 2 ? 0U : placed;
    }
  }

  // Whether accumulator i of tile (r, n) is kept; constants, so that a bit is tested where it lies.
  __device__ __forceinline__ bool at(int r, int n, int i) const {
    const int counter = (2 * r + i / 2) * N + n, owner = counter / kMine, turn = counter % kMine;
    return (bits_[owner / 2] >> (owner % 2 * 16 + (kMine - 1 - turn) * 2 + i % 2) & 1U) != 0;
  }

 private:
  static constexpr int kMine = 2 * R * N / 4;  // counters of a lane, all of one row
  static_assert(kMine * 4 == 2 * R * N && kMine <= 8 && N % kMine == 0);
  std::uint32_t bits_[2];  // two for each counter: those of lanes 0 and 1 of the row, of lanes 2 and 3
};

// Keys down, queries across: R row tiles by N column tiles. The eight lanes of a pair of columns each need
// one of every counter's eight elements, and there are 4R·N counters for them.
template <int R, int N>
class KeptOfColumns {
 public:
  // `query` is that of column 0, `key` that of row 0.
  template <class T>
  __device__ __forceinline__ KeptOfColumns(const Attention<T>& a, int sample, int head, int query, int key) {
    const SampleMask mask(a.dropout, sample);
    const int lane = static_cast<int>(threadIdx.x) % 32, mine = lane / 4, column = mine / (2 * R);
    // Counter 8 i + mine is the octet `mine` mod 2R of keys, for a query that is 16 / R queries further with
    // each i.
    query += column / 2 * 8 + lane % 4 * 2 + column % 2;
    std::uint64_t counter = dropout_counter(a, head, query, key + mine % (2 * R) * 8);
    const std::uint64_t further = static_cast<std::uint64_t>((a.keys + 7) / 8) * (16 / R);
    bits_ = 0;  // byte kMine − 1 − i: those of this lane's counter i, one for each of the eight lanes
#pragma unroll 1
    for (int i = 0; i < kMine; ++i, counter += further) mask.add_eight(bits_, counter);
    // Each byte with those of the other seven lanes is a matrix of 8 by 8 bits, which is transposed: bit j of
    // a lane goes to that lane of the eight, as the bit of the lane that it came from.
    transpose_step(mine, 1, 0x55555555U);
    transpose_step(mine, 2, 0x33333333U);
    transpose_step(mine, 4, 0x0f0f0f0fU);
  }

  __device__ __forceinline__ bool at(int r, int n, int i) const {
    const int counter = (2 * n + i % 2) * 2 * R + 2 * r + i / 2;
    return (bits_ >> ((kMine - 1 - counter / 8) * 8 + counter % 8) & 1U) != 0;
  }

 private:
  static constexpr int kMine = 4 * R * N / 8;
  static_assert(kMine * 8 == 4 * R * N && kMine <= 4);

  // Exchanges, between lanes `distance` apart, the bits that lie `distance` off the diagonal; `lower`: the
  // bits whose number has no `distance` in it.
  __device__ __forceinline__ void transpose_step(int mine, int distance, std::uint32_t lower) {
    const std::uint32_t other = ptx::shuffle_xor(bits_, 4 * distance);
    bits_ = (mine & distance) == 0 ? (bits_ & lower) | (other & lower) << static_cast<unsigned>(distance)
                                   : (bits_ & ~lower) | (other & ~lower) >> static_cast<unsigned>(distance);
  }

  std::uint32_t bits_;
};

// Without dropout.
struct AllKept {
  template <class T>
  __device__ __forceinline__ AllKept(const Attention<T>&, int, int, int, int) {}
  __device__ __forceinline__ static constexpr bool at(int, int, int) { return true; }
};

// Clears what is dropped among packed accumulators (pack_accumulators).
template <class Kept, int R, int K>
__device__ __forceinline__ void drop(const Kept& kept, std::uint32_t (&packed)[R][K][4]) {
#pragma unroll
  for (int r = 0; r < R; ++r)
#pragma unroll
    for (int k = 0; k < K; ++k)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int n = 2 * k + i / 2, half = i % 2;
        packed[r][k][i] &=
            (kept.at(r, n, 2 * half) ? 0x0000ffffU : 0U) | (kept.at(r, n, 2 * half + 1) ? 0xffff0000U : 0U);
      }
}

}  // namespace headwater::kernels
