#pragma once
// The mask of inverted dropout on a matrix whose rows are tokens, made anew wherever it is needed.

#include "dropout.cuh"

namespace headwater::kernels {

class DropoutRow {
 public:
  __device__ __forceinline__ DropoutRow(const RowDropout& dropout, std::int64_t row, std::int64_t columns)
      : mask_(dropout.mask) {
    if (mask_.keys == nullptr) return;
    const std::int64_t token = dropout.first_row + row;
    sample_ = static_cast<int>(token / dropout.sequence);
    first_ = static_cast<std::uint64_t>((token - sample_ * dropout.sequence) * columns);
  }

  // v ← mask / (1 − p) ⊙ v for the chunk that begins at `column`; kN is 1, or like `columns` and `column` a
  // multiple of 4.
  template <int kN>
  __device__ __forceinline__ void apply(std::int64_t column, float (&v)[kN]) const {
    static_assert(kN == 1 || kN % 4 == 0);
    if (mask_.keys == nullptr) return;
    const std::uint64_t element = first_ + static_cast<std::uint64_t>(column);
    for (int i = 0; i < kN; i += 4) {
      const unsigned four = kept_of_four(mask_, sample_, element / 4 + static_cast<unsigned>(i / 4));
      const unsigned kept = kN == 1 ? four >> element % 4 : four;
      for (int k = i; k < i + 4 && k < kN; ++k)
        v[k] = (kept >> (k - i) & 1U) != 0 ? v[k] * mask_.scale : 0.0F;
    }
  }

 private:
  const DropoutMask& mask_;
  int sample_ = 0;
  std::uint64_t first_ = 0;
};

}  // namespace headwater::kernels
