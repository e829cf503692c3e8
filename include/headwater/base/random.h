#pragma once
// Counter-based random numbers. They are a pure function of a key and a counter, so that any element of any
// stream can be computed anywhere, in any order, by any number of threads.
//
// The function is Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
// Dropout uses Philox 4x32-7, which has the fewest rounds that pass all tests of that paper.

#include <array>
#include <cstdint>
#include <string_view>

namespace headwater {

struct RandomKey {
  std::uint64_t value = 0;
};

// Makes a new key from a key and a number or name. Deriving by a, then by b, gives another key than by b,
// then by a.
RandomKey derive(RandomKey key, std::uint64_t word);
RandomKey derive(RandomKey key, std::string_view name);

// Returns the four random words of block (`counter`, `stream`) under `key`.
template <int kRounds = 10>
std::array<std::uint32_t, 4> philox(RandomKey key, std::uint64_t counter, std::uint64_t stream = 0) {
  std::uint32_t c0 = static_cast<std::uint32_t>(counter), c1 = static_cast<std::uint32_t>(counter >> 32);
  std::uint32_t c2 = static_cast<std::uint32_t>(stream), c3 = static_cast<std::uint32_t>(stream >> 32);
  std::uint32_t k0 = static_cast<std::uint32_t>(key.value), k1 = static_cast<std::uint32_t>(key.value >> 32);
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t p0 = 0xD2511F53ULL * c0, p1 = 0xCD9E8D57ULL * c2;
    c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<std::uint32_t>(p1);
    c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<std::uint32_t>(p0);
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  return {c0, c1, c2, c3};
}

// Returns element `index` of the key's stream of uniform numbers in [0, 1). It is word `index & 3` of block
// `index >> 2`.
double uniform(RandomKey key, std::uint64_t index);
// Returns element `index` of the key's stream of standard normal numbers, by Box-Muller from two words of
// block `index >> 1`.
double normal(RandomKey key, std::uint64_t index);

}  // namespace headwater
