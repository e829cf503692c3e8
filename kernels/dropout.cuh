#pragma once
// Dropout's random words on the device: Philox 4x32-10 as in base/random.h, element numbers as in backend.h
// (`Dropout`).

#include "kernels.h"

namespace headwater::kernels {

// The four words of a counter.
__device__ __forceinline__ uint4 philox(std::uint32_t key_low, std::uint32_t key_high, std::uint64_t counter,
                                        std::uint64_t site) {
  std::uint32_t c0 = static_cast<std::uint32_t>(counter), c1 = static_cast<std::uint32_t>(counter >> 32U);
  std::uint32_t c2 = static_cast<std::uint32_t>(site), c3 = static_cast<std::uint32_t>(site >> 32U);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
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

// Which of the elements 4 · counter, …, + 3 of a sample are kept: bit i for element i. Only where dropout is
// on.
__device__ __forceinline__ unsigned kept_of_four(const DropoutMask& mask, int sample, std::uint64_t counter) {
  const uint4 words = philox(static_cast<std::uint32_t>(mask.keys[2 * sample]),
                             static_cast<std::uint32_t>(mask.keys[2 * sample + 1]), counter, mask.site);
  return (words.x >= mask.threshold ? 1U : 0U) | (words.y >= mask.threshold ? 2U : 0U) |
         (words.z >= mask.threshold ? 4U : 0U) | (words.w >= mask.threshold ? 8U : 0U);
}

}  // namespace headwater::kernels
