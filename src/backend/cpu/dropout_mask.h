#pragma once
// The masks of inverted dropout, made anew wherever they are needed (op_arguments.h, `Dropout`).

#include "headwater/backend/op_arguments.h"
#include "headwater/base/random.h"

namespace headwater::cpu {

class DropoutMask {
 public:
  explicit DropoutMask(const Dropout& dropout);  // reads nothing of it where it is off

  bool on() const { return on_; }
  // scales[i] = 0 or 1 / (1 − p), for elements first + i of a sample.
  void scales(std::int64_t sample, std::uint64_t first, std::int64_t count, float* scales) const;
  // scales[r·columns + i], r = 0 … 7, for elements first + i·stride + r; first and stride are multiples of 8.
  void scales_of_eight_rows(std::int64_t sample, std::uint64_t first, std::uint64_t stride,
                            std::int64_t columns, float* scales) const;

 private:
  static constexpr std::int64_t kCounters = 64;  // whose words are made at once
  struct Words {
    std::uint32_t of[4][kCounters];  // word w of each counter
  };
  // Returns the random words of the counters first, first + stride, …
  Words words(std::int64_t sample, std::uint64_t first, std::uint64_t stride) const;
  RandomKey key(std::int64_t sample) const;

  bool on_;
  const std::int32_t* keys_ = nullptr;
  std::uint64_t site_ = 0;
  std::uint32_t threshold_ = 0;  // kept where the 16 bits, as the upper half of a word, are at least this
  float scale_ = 1.0F;
};

}  // namespace headwater::cpu
