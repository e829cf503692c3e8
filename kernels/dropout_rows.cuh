#pragma once
// The mask of inverted dropout on a matrix whose rows are tokens, made anew wherever it is needed.

#include "dropout.cuh"

namespace headwater::kernels {

class DropoutRow {
 public:
  __device__ __forceinline__ DropoutRow(const RowDropout& dropout, std::int64_t row, std::int64_t columns)
      : on_(dropout.mask.keys != nullptr), scale_(dropout.mask.scale) {
    if (!on_) return;
    const auto token = static_cast<std::uint32_t>(dropout.first_row + row),
               sequence = static_cast<std::uint32_t>(dropout.sequence), sample = token / sequence;
    mask_ = SampleMask(dropout.mask, static_cast<int>(sample));
    first_ = static_cast<std::uint64_t>(token - sample * sequence) * static_cast<std::uint64_t>(columns);
  }

  // v ← mask / (1 − p) ⊙ v for the chunk that begins at `column`; kN is 1, 4 or 8, and `columns` and `column`
  // are multiples of it.
  template <int kN>
  __device__ __forceinline__ void apply(std::int64_t column, float (&v)[kN]) const {
    static_assert(kN == 1 || kN == 4 || kN == 8);
    if (!on_) return;
    const std::uint64_t element = first_ + static_cast<std::uint64_t>(column);
    std::uint32_t kept = 0;
    mask_.add_eight(kept, element / 8);
    kept >>= static_cast<unsigned>(element % 8);
    for (int i = 0; i < kN; ++i) v[i] = (kept >> i & 1U) != 0 ? v[i] * scale_ : 0.0F;
  }

 private:
  bool on_;
  float scale_;
  SampleMask mask_ = {};
  std::uint64_t first_ = 0;
};

}  // namespace headwater::kernels
