#pragma once
// Small matrix products in f32 on tiles that lie in the cache, for one thread: what attention is made of.

#include <cstdint>

namespace headwater::cpu {

inline constexpr std::int64_t kLanes = 16;  // columns come in multiples of this

// c[i][j] = Σ_k a[i·a_row + k·a_column] · b[k·b_row + j], or c += that, for i < m, j < n, k < depth; n a
// multiple of kLanes. Rows of b and c need not be aligned.
void tile_product(const float* a, std::int64_t a_row, std::int64_t a_column, const float* b,
                  std::int64_t b_row, float* c, std::int64_t c_row, std::int64_t m, std::int64_t n,
                  std::int64_t depth, bool accumulate);

}  // namespace headwater::cpu
