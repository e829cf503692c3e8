#pragma once
// A keyed bijection of [0, size), which gives the order of an epoch's samples without a table. Immutable:
// any thread may call.
//
// It is a Feistel network over the smallest power of two that is at least `size`, with a round function from
// Philox. A value that falls outside [0, size) is sent through the network again ("cycle walking": Black and
// Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). On average a value passes fewer than two
// times.

#include "headwater/base/random.h"

#include <cstdint>

namespace headwater {

class Permutation {
 public:
  Permutation(RandomKey key, std::uint64_t size);  // 1 <= size <= 2^62
  std::uint64_t operator()(std::uint64_t index) const;

 private:
  std::uint64_t once(std::uint64_t value) const;

  RandomKey key_;
  std::uint64_t size_;
  int low_bits_, high_bits_;
};

}  // namespace headwater
