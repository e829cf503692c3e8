#include "permutation.h"

#include "headwater/base/error.h"

#include <bit>

namespace headwater {
namespace {

// Rounds of the network. Four would do, since the order need not withstand an attack; eight also mix the few
// bits of a tiny dataset well.
constexpr std::uint64_t kRounds = 8;

}  // namespace

Permutation::Permutation(RandomKey key, std::uint64_t size) : key_(key), size_(size) {
  HW_CHECK(size >= 1 && size <= std::uint64_t{1} << 62, "permutation of {} elements", size);
  const int bits = std::bit_width(size - 1);
  high_bits_ = bits / 2;
  low_bits_ = bits - high_bits_;
}

std::uint64_t Permutation::operator()(std::uint64_t index) const {
  HW_CHECK(index < size_, "index {} of a permutation of {}", index, size_);
  do {
    index = once(index);
  } while (index >= size_);
  return index;
}

std::uint64_t Permutation::once(std::uint64_t value) const {
  const std::uint64_t low_mask = (std::uint64_t{1} << low_bits_) - 1;
  const std::uint64_t high_mask = (std::uint64_t{1} << high_bits_) - 1;
  std::uint64_t low = value & low_mask, high = value >> low_bits_;
  for (std::uint64_t round = 0; round < kRounds; round += 2) {
    high ^= philox(key_, low, round)[0] & high_mask;
    low ^= philox(key_, high, round + 1)[0] & low_mask;
  }
  return high << low_bits_ | low;
}

}  // namespace headwater
