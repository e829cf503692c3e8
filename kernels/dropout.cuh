#pragma once
// Dropout's random words on the device: Philox 4x32 as in base/random.h, element numbers as in op_arguments.h
// (`Dropout`).

#include "kernels.h"
#include "ptx.cuh"

namespace headwater::kernels {

// The four words of a counter.
template <int kRounds>
__device__ __forceinline__ uint4 philox(std::uint32_t key_low, std::uint32_t key_high, std::uint64_t counter,
                                        std::uint64_t stream) {
  std::uint32_t c0 = static_cast<std::uint32_t>(counter), c1 = static_cast<std::uint32_t>(counter >> 32U);
  std::uint32_t c2 = static_cast<std::uint32_t>(stream), c3 = static_cast<std::uint32_t>(stream >> 32U);
#pragma unroll
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t p0 = static_cast<std::uint64_t>(0xD2511F53U) * c0;
    const std::uint64_t p1 = static_cast<std::uint64_t>(0xCD9E8D57U) * c2;
    c0 = static_cast<std::uint32_t>(p1 >> 32U) ^ c1 ^ key_low;
    c1 = static_cast<std::uint32_t>(p1);
    c2 = static_cast<std::uint32_t>(p0 >> 32U) ^ c3 ^ key_high;
    c3 = static_cast<std::uint32_t>(p0);
    key_low += 0x9E3779B9U;
    key_high += 0xBB67AE85U;
  }
  return {c0, c1, c2, c3};
}

// Dropout of one sample, on the device. Only where dropout is on.
struct SampleMask {
  std::uint32_t key_low = 0, key_high = 0;
  std::uint64_t site = 0;
  std::uint32_t threshold = 0;

  SampleMask() = default;
  __device__ __forceinline__ SampleMask(const DropoutMask& mask, int sample)
      : key_low(static_cast<std::uint32_t>(mask.keys[2 * sample])),
        key_high(static_cast<std::uint32_t>(mask.keys[2 * sample + 1])),
        site(mask.site),
        threshold(mask.threshold) {}

  // The random words of elements 8 · counter, …, + 7: two to a word, the lower half first.
  __device__ __forceinline__ uint4 words(std::uint64_t counter) const {
    return philox<7>(key_low, key_high, counter, site);
  }
  // Puts the bits of a word's two elements, set where they are kept, below those of `bits`: that of the lower
  // half last.
  __device__ __forceinline__ void add_two(std::uint32_t& bits, std::uint32_t word) const {
    ptx::add_bit_at_least(bits, word, threshold);
    ptx::add_bit_at_least(bits, word << 16U, threshold);
  }
  // Those of elements 8 · counter, …, + 7: that of the first last, in bit 0.
  __device__ __forceinline__ void add_eight(std::uint32_t& bits, std::uint64_t counter) const {
    const uint4 w = words(counter);
    add_two(bits, w.w), add_two(bits, w.z), add_two(bits, w.y), add_two(bits, w.x);
  }
};

}  // namespace headwater::kernels
