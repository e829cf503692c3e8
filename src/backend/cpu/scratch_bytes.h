#pragma once
// Scratch that ops take on the CPU, as formulas in bytes. What oneDNN takes for itself is not counted: it
// lies outside the arena.

#include <cstdint>

namespace headwater::cpu {

// Attention works on tiles of this many queries by this many keys.
inline constexpr std::int64_t kQueryTile = 64;
inline constexpr std::int64_t kKeyTile = 64;
// Products of widened bf16 work on square tiles of this side.
inline constexpr std::int64_t kWidenedTile = 512;

std::int64_t attention_bytes(std::int64_t head_dim, int threads);
std::int64_t attention_backward_bytes(std::int64_t keys, std::int64_t head_dim, int threads);
// Sums over rows of `columns` columns (gradients of gains and biases): one partial sum per thread.
std::int64_t column_sums_bytes(std::int64_t columns, int threads);
// Sums over all elements, in f64: one partial sum per thread.
std::int64_t total_sum_bytes(int threads);
// Products of bf16 that are cut into tiles.
std::int64_t product_bytes();

}  // namespace headwater::cpu
