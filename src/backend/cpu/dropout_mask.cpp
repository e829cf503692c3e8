#include "dropout_mask.h"

#include <algorithm>

namespace headwater::cpu {

DropoutMask::DropoutMask(const Dropout& dropout) : on_(dropout.on()) {
  if (!on_) return;
  keys_ = dropout.keys.as<std::int32_t>();
  site_ = dropout.site;
  threshold_ = dropout.threshold() << 16;
  scale_ = static_cast<float>(dropout.scale());
}

RandomKey DropoutMask::key(std::int64_t sample) const {
  const auto low = static_cast<std::uint32_t>(keys_[2 * sample]),
             high = static_cast<std::uint32_t>(keys_[2 * sample + 1]);
  return {static_cast<std::uint64_t>(high) << 32 | low};
}

// Philox as in base/random.h, but round by round for all counters, so that the compiler makes vectors of
// them.
DropoutMask::Words DropoutMask::words(std::int64_t sample, std::uint64_t first, std::uint64_t stride) const {
  const RandomKey sample_key = key(sample);
  auto k0 = static_cast<std::uint32_t>(sample_key.value),
       k1 = static_cast<std::uint32_t>(sample_key.value >> 32);
  Words words;
  auto& [c0, c1, c2, c3] = words.of;
  for (std::int64_t i = 0; i < kCounters; ++i) {
    const std::uint64_t counter = first + static_cast<std::uint64_t>(i) * stride;
    c0[i] = static_cast<std::uint32_t>(counter);
    c1[i] = static_cast<std::uint32_t>(counter >> 32);
    c2[i] = static_cast<std::uint32_t>(site_);
    c3[i] = static_cast<std::uint32_t>(site_ >> 32);
  }
  for (int round = 0; round < 7; ++round) {
    for (std::int64_t i = 0; i < kCounters; ++i) {
      const std::uint64_t p0 = 0xD2511F53ULL * c0[i], p1 = 0xCD9E8D57ULL * c2[i];
      c0[i] = static_cast<std::uint32_t>(p1 >> 32) ^ c1[i] ^ k0;
      c1[i] = static_cast<std::uint32_t>(p1);
      c2[i] = static_cast<std::uint32_t>(p0 >> 32) ^ c3[i] ^ k1;
      c3[i] = static_cast<std::uint32_t>(p0);
    }
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  return words;
}

// Members are copied to locals: what may change behind a pointer keeps a loop from being vectorised.
void DropoutMask::scales(std::int64_t sample, std::uint64_t first, std::int64_t count, float* scales) const {
  const std::uint32_t threshold = threshold_;
  const float scale = scale_;
  auto skip = static_cast<std::int64_t>(first % 8);  // elements of the first counter that are not asked for
  for (std::uint64_t counter = first / 8; count > 0; counter += kCounters, skip = 0) {
    const std::int64_t counters = std::min(kCounters, (skip + count + 7) / 8);
    const Words made = words(sample, counter, 1);
    float all[8 * kCounters];
#pragma omp simd
    for (std::int64_t i = 0; i < counters; ++i)
      for (std::int64_t w = 0; w < 4; ++w) {
        all[8 * i + 2 * w] = made.of[w][i] << 16 >= threshold ? scale : 0.0F;
        all[8 * i + 2 * w + 1] = made.of[w][i] >= threshold ? scale : 0.0F;
      }
    const std::int64_t wanted = std::min(8 * counters - skip, count);
    std::copy_n(all + skip, wanted, scales);
    scales += wanted;
    count -= wanted;
  }
}

void DropoutMask::scales_of_eight_rows(std::int64_t sample, std::uint64_t first, std::uint64_t stride,
                                       std::int64_t columns, float* scales) const {
  const std::uint32_t threshold = threshold_;
  const float scale = scale_;
  for (std::int64_t begin = 0; begin < columns; begin += kCounters) {
    const std::int64_t count = std::min(kCounters, columns - begin);
    const Words made = words(sample, (first + static_cast<std::uint64_t>(begin) * stride) / 8, stride / 8);
    for (std::int64_t w = 0; w < 4; ++w) {
      float *even = scales + 2 * w * columns + begin, *odd = even + columns;
      for (std::int64_t i = 0; i < count; ++i) {
        even[i] = made.of[w][i] << 16 >= threshold ? scale : 0.0F;
        odd[i] = made.of[w][i] >= threshold ? scale : 0.0F;
      }
    }
  }
}

}  // namespace headwater::cpu
