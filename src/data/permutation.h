#pragma once
// A keyed bijection of [0, size): the order of the samples of an epoch, without a table. Immutable; any
// thread.
//
// A Feistel network over the smallest power of two that holds `size`, its round function taken from Philox,
// with cycle walking: what falls outside [0, size) is sent through again (Black and Rogaway, "Ciphers with
// arbitrary finite domains", CT-RSA 2002). Fewer than two rounds of it are needed on average.

#include "headwater/base/random.h"

#include <cstdint>

namespace headwater {

class Permutation {
 public:
  Permutation(RandomKey key, std::uint64_t size);  // 1 <= size <= 2^62
  std::uint64_t operator()(std::uint64_t index) const;
  std::uint64_t size() const { return size_; }

 private:
  std::uint64_t once(std::uint64_t value) const;

  RandomKey key_;
  std::uint64_t size_;
  int low_bits_, high_bits_;
};

}  // namespace headwater
