#pragma once
// How many bytes of scratch a launcher of kernels.h asks for, as formulas that a plan can take too: nothing of CUDA here.

#include <algorithm>
#include <cstdint>

namespace headwater::kernels {

// Sums over rows (column_sums.cuh): groups of at least kRowsOfGroup rows, at most four blocks on each of an H100's 132
// multiprocessors; a float for each group and column.
inline constexpr std::int64_t kRowsOfGroup = 16, kMaxGroups = 132 * 4;
constexpr std::int64_t row_groups(std::int64_t rows) {
  return std::min((rows + kRowsOfGroup - 1) / kRowsOfGroup, kMaxGroups);
}
constexpr std::int64_t column_sums_bytes(std::int64_t rows, std::int64_t columns) { return row_groups(rows) * columns * 4; }

// embedding_backward: so many tokens are sorted at a time, as 32-bit numbers, in a time quadratic in it.
inline constexpr std::int64_t kSortedTokens = 4096;
constexpr std::int64_t embedding_backward_bytes(std::int64_t rows) { return std::min(rows, kSortedTokens) * 4; }

// add_squared_norm: a double for each block of kElementsOfNormBlock elements, as far as those go.
inline constexpr std::int64_t kElementsOfNormBlock = 256 * 16, kMaxNormBlocks = 132 * 8;
constexpr std::int64_t norm_blocks(std::int64_t n) {
  return std::clamp<std::int64_t>((n + kElementsOfNormBlock - 1) / kElementsOfNormBlock, 1, kMaxNormBlocks);
}
constexpr std::int64_t squared_norm_bytes(std::int64_t n) { return norm_blocks(n) * 8; }

// attention_backward, with P = ⌈Sq / 64⌉ · 64: (lse, δ) of each query and head 8·B·A·P, first keys 4·B·P, their range in each
// tile of 64 queries 8·B·P/64; and where dq is not ordered, its sums in fp32, 4·B·Sq·A·D.
constexpr std::int64_t attention_backward_bytes(std::int64_t samples, std::int64_t queries, std::int64_t heads,
                                                std::int64_t head_dim, bool ordered) {
  const std::int64_t padded = samples * ((queries + 63) / 64 * 64);
  const std::int64_t bytes = 8 * padded * heads + 4 * padded + (padded / 64 * 8 + 15) / 16 * 16;
  return bytes + (ordered ? 0 : 4 * samples * queries * heads * head_dim);
}

}  // namespace headwater::kernels
