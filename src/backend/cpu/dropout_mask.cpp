#include "dropout_mask.h"

#include "checks.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace headwater::cpu {

DropoutMask::DropoutMask(const Dropout& dropout, std::int64_t samples) : on_(dropout.on()) {
  if (!on_) return;
  check_vector(dropout.keys, DType::i32, 2 * samples, "dropout keys");
  const double threshold = std::ceil(dropout.probability * 0x1p32);
  HW_CHECK(threshold < 0x1p32, "dropout with probability {}", dropout.probability);
  keys_ = dropout.keys.as<std::int32_t>();
  site_ = dropout.site;
  threshold_ = static_cast<std::uint32_t>(threshold);
  scale_ = static_cast<float>(1.0 / (1.0 - dropout.probability));
}

RandomKey DropoutMask::key(std::int64_t sample) const {
  const auto low = static_cast<std::uint32_t>(keys_[2 * sample]),
             high = static_cast<std::uint32_t>(keys_[2 * sample + 1]);
  return {static_cast<std::uint64_t>(high) << 32 | low};
}

void DropoutMask::scales(std::int64_t sample, std::uint64_t first, std::int64_t count, float* scales) const {
  constexpr std::int64_t kBlocks = 64;  // words are made four at a time, for so many counters at once
  std::array<std::uint32_t, 4 * kBlocks> words;
  const RandomKey sample_key = key(sample);
  std::uint64_t counter = first / 4;
  std::int64_t skip = static_cast<std::int64_t>(first % 4);
  while (count > 0) {
    const std::int64_t blocks = std::min(kBlocks, (skip + count + 3) / 4);
    for (std::int64_t i = 0; i < blocks; ++i) {
      const auto four = philox(sample_key, counter + static_cast<std::uint64_t>(i), site_);
      for (std::size_t w = 0; w < 4; ++w) words[4 * static_cast<std::size_t>(i) + w] = four[w];
    }
    const std::int64_t made = std::min(4 * blocks - skip, count);
    for (std::int64_t i = 0; i < made; ++i)
      scales[i] = words[static_cast<std::size_t>(skip + i)] >= threshold_ ? scale_ : 0.0F;
    scales += made;
    count -= made;
    counter += static_cast<std::uint64_t>(blocks);
    skip = 0;
  }
}

void DropoutMask::scales_of_four_rows(std::int64_t sample, std::uint64_t first, std::uint64_t stride,
                                      std::int64_t columns, float* scales) const {
  const RandomKey sample_key = key(sample);
  for (std::int64_t i = 0; i < columns; ++i) {
    const auto four = philox(sample_key, (first + static_cast<std::uint64_t>(i) * stride) / 4, site_);
    for (std::int64_t r = 0; r < 4; ++r)
      scales[r * columns + i] = four[static_cast<std::size_t>(r)] >= threshold_ ? scale_ : 0.0F;
  }
}

}  // namespace headwater::cpu
