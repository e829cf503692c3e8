#pragma once
// How many bytes of scratch a launcher of kernels.h asks for, as formulas that a plan can take too: nothing
// of CUDA here.

#include <algorithm>
#include <cstdint>

namespace headwater::kernels {

// Sums over rows (column_sums.cuh): groups of at least kRowsOfGroup rows, at most four blocks on each of an
// H100's 132 multiprocessors; a float for each group and column.
inline constexpr std::int64_t kRowsOfGroup = 16, kMaxGroups = 132 * 4;
constexpr std::int64_t row_groups(std::int64_t rows) {
  return std::min((rows + kRowsOfGroup - 1) / kRowsOfGroup, kMaxGroups);
}
constexpr std::int64_t column_sums_bytes(std::int64_t rows, std::int64_t columns) {
  return row_groups(rows) * columns * 4;
}

// embedding_backward: so many tokens are sorted at a time, as 32-bit numbers, in a time quadratic in it.
inline constexpr std::int64_t kSortedTokens = 4096;
constexpr std::int64_t embedding_backward_bytes(std::int64_t rows) {
  return std::min(rows, kSortedTokens) * 4;
}

// add_squared_norm: a double for each block of kElementsOfNormBlock elements, as far as those go.
inline constexpr std::int64_t kElementsOfNormBlock = 256 * 16, kMaxNormBlocks = 132 * 8;
constexpr std::int64_t norm_blocks(std::int64_t n) {
  return std::clamp<std::int64_t>((n + kElementsOfNormBlock - 1) / kElementsOfNormBlock, 1, kMaxNormBlocks);
}
constexpr std::int64_t squared_norm_bytes(std::int64_t n) { return norm_blocks(n) * 8; }

// Head sizes that attention has tiles for, on tensor cores.
constexpr bool attention_has_tiles(std::int64_t head_dim) {
  return head_dim == 64 || head_dim == 96 || head_dim == 128 || head_dim == 256;
}

// attention_backward: where each part of the workspace begins, with P = ⌈Sq / 64⌉ · 64.
struct AttentionBackwardBytes {
  std::int64_t statistics = 0;  // (lse, δ) of each query and head: 8·B·A·P
  std::int64_t first;           // first keys: 4·B·P
  std::int64_t first_of_tile;   // their range in each tile of 64 queries: 8·B·P/64
  // Where attention is on tensor cores:
  std::int64_t dq;     // sums in fp32: 4·B·Sq·A·D
  std::int64_t added;  // counts of four warps for each tile of 32 queries and head: 16·B·A·P/32
  std::int64_t begun;  // a count
  std::int64_t end;

  constexpr AttentionBackwardBytes(std::int64_t samples, std::int64_t queries, std::int64_t heads,
                                   std::int64_t head_dim, bool tiled)
      : first(8 * samples * padded(queries) * heads),
        first_of_tile(first + 4 * samples * padded(queries)),
        dq(first_of_tile + (samples * padded(queries) / 64 * 8 + 15) / 16 * 16),
        added(dq + (tiled ? 4 * samples * queries * heads * head_dim : 0)),
        begun(added + (tiled ? 16 * samples * heads * padded(queries) / 32 : 0)),
        end(begun + (tiled ? 16 : 0)) {}

 private:
  static constexpr std::int64_t padded(std::int64_t queries) { return (queries + 63) / 64 * 64; }
};
// `half`: of bf16; fp32 has no tiles.
constexpr std::int64_t attention_backward_bytes(std::int64_t samples, std::int64_t queries,
                                                std::int64_t heads, std::int64_t head_dim, bool half) {
  return AttentionBackwardBytes(samples, queries, heads, head_dim, half && attention_has_tiles(head_dim)).end;
}

}  // namespace headwater::kernels
