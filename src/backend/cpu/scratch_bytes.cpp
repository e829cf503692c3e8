#include "scratch_bytes.h"

namespace headwater::cpu {
namespace {

constexpr std::int64_t kF32 = sizeof(float), kF64 = sizeof(double);
constexpr std::int64_t kLine = 64;  // threads' pieces start on a cache line of their own

constexpr std::int64_t whole_lines(std::int64_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

// A row of one head in f32, padded to whole vectors.
constexpr std::int64_t row_bytes(std::int64_t head_dim) { return whole_lines(head_dim * kF32); }

}  // namespace

// Per thread: queries across, keys, values, scores, output.
std::int64_t attention_bytes(std::int64_t head_dim, int threads) {
  const std::int64_t rows = 2 * kQueryTile + 2 * kKeyTile;
  return threads * (rows * row_bytes(head_dim) + kKeyTile * kQueryTile * kF32);
}

// Per thread: the sums dk and dv of one KV head; queries and d_out, both also across, and dq; keys and
// values; scores and their gradients.
std::int64_t attention_backward_bytes(std::int64_t keys, std::int64_t head_dim, int threads) {
  const std::int64_t rows = 2 * keys + 5 * kQueryTile + 2 * kKeyTile;
  return threads * (rows * row_bytes(head_dim) + 2 * kKeyTile * kQueryTile * kF32);
}

std::int64_t column_sums_bytes(std::int64_t columns, int threads) {
  return threads * whole_lines(columns * kF32);
}

std::int64_t total_sum_bytes(int threads) { return threads * whole_lines(kF64); }

// A widened tile of each of the two operands and of their product; or a larger one of the product alone.
std::int64_t product_bytes() { return 3 * kWidenedTile * kWidenedTile * kF32; }

}  // namespace headwater::cpu
