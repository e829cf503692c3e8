// Linear layers: y = x wᵀ and its two gradients.

#include "checks.h"
#include "cpu_catalogue.h"
#include "parallel.h"

namespace headwater::cpu {
namespace {

Matrix part(const Matrix& m, std::int64_t row, std::int64_t rows, std::int64_t column, std::int64_t columns) {
  const std::int64_t offset = row * m.row_stride + column * m.column_stride;
  return {static_cast<std::byte*>(m.data) + offset * static_cast<std::int64_t>(size_of(m.dtype)),
          m.dtype,
          rows,
          columns,
          m.row_stride,
          m.column_stride};
}

// The same numbers in f32 at `to`, stored in the same order.
Matrix widened(const Matrix& m, float* to, int threads) {
  if (m.column_stride != 1) return widened(m.transposed(), to, threads).transposed();
  parallel_parts(threads, m.rows, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t row = begin; row < end; ++row) {
      const bf16* source = static_cast<const bf16*>(m.data) + row * m.row_stride;
      for (std::int64_t i = 0; i < m.columns; ++i) to[row * m.columns + i] = static_cast<float>(source[i]);
    }
  });
  return {to, DType::f32, m.rows, m.columns, m.columns, 1};
}

// c = sum, or c += sum, rounded once.
void store_rounded(const float* sum, const Matrix& c, bool accumulate, int threads) {
  parallel_parts(threads, c.rows, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t row = begin; row < end; ++row) {
      bf16* target = static_cast<bf16*>(c.data) + row * c.row_stride;
      for (std::int64_t i = 0; i < c.columns; ++i)
        target[i] = bf16(sum[row * c.columns + i] + (accumulate ? static_cast<float>(target[i]) : 0.0F));
    }
  });
}

// Sums that are longer than kDeepDepth are taken in pieces, in f32, for so many rows and columns at a time.
constexpr std::int64_t kDeepDepth = 2048, kDeepRows = 768, kDeepColumns = 1024;
static_assert(kDeepRows * kDeepColumns <= 3 * kWidenedTile * kWidenedTile, "see product_bytes()");

}  // namespace

// f32, and a bf16 product that the chip has and that runs well in one call, go to the library whole. Others
// are cut up. What each cut gives was measured on the products of a 124M model (oneDNN 2.6.3, Zen 5, one
// thread, share of a 2048³ product).
void CpuBackend::multiply(const Matrix& a, const Matrix& b, const Matrix& c, bool accumulate) {
  HW_CHECK((a.dtype == DType::f32 || a.dtype == DType::bf16) && (c.dtype == a.dtype || c.dtype == DType::f32),
           "the CPU backend does not multiply {} into {}", name_of(a.dtype), name_of(c.dtype));
  const bool into_f32 = c.dtype == DType::f32, by_rows_of_b = b.column_stride == 1;
  if (a.dtype != DType::bf16)
    products_.multiply(a, b, c, accumulate);
  else if (widen_bf16_)
    multiply_in_tiles(a, b, c, accumulate, {kWidenedTile, kWidenedTile, kWidenedTile});
  else if (into_f32 && a.column_stride != 1)
    // Weight gradients, some rows at a time: 50 to 85 % become 91 to 97 %.
    multiply_in_tiles(a, b, c, accumulate, {384 * threads_, c.columns, a.columns});
  else if (!into_f32 && by_rows_of_b && a.columns > kDeepDepth)
    // Input gradients of wide layers, their long sums in pieces: 65 to 90 % become 89 to 99 %.
    multiply_in_tiles(a, b, c, accumulate, {kDeepRows, kDeepColumns, kDeepDepth});
  else
    products_.multiply(a, b, c, accumulate);
}

void CpuBackend::multiply_in_tiles(const Matrix& a, const Matrix& b, const Matrix& c, bool accumulate,
                                   const ProductTile& tile) {
  const bool into_f32 = c.dtype == DType::f32;
  Scratch memory = scratch(widen_bf16_ || !into_f32 ? product_bytes() : 0);
  float* a_wide = widen_bf16_ ? memory.take<float>(tile.rows * tile.depth) : nullptr;
  float* b_wide = widen_bf16_ ? memory.take<float>(tile.depth * tile.columns) : nullptr;
  float* c_wide = into_f32 ? nullptr : memory.take<float>(tile.rows * tile.columns);
  const auto operand = [&](const Matrix& m, float* wide) {
    return widen_bf16_ ? widened(m, wide, threads_) : m;
  };
  for (std::int64_t row = 0; row < c.rows; row += tile.rows) {
    for (std::int64_t column = 0; column < c.columns; column += tile.columns) {
      const std::int64_t rows = std::min(tile.rows, c.rows - row);
      const std::int64_t columns = std::min(tile.columns, c.columns - column);
      const Matrix target = part(c, row, rows, column, columns);
      const Matrix sum = into_f32 ? target : Matrix{c_wide, DType::f32, rows, columns, columns, 1};
      for (std::int64_t k = 0; k < a.columns; k += tile.depth) {
        const std::int64_t depth = std::min(tile.depth, a.columns - k);
        products_.multiply(operand(part(a, row, rows, k, depth), a_wide),
                           operand(part(b, k, depth, column, columns), b_wide), sum,
                           k > 0 || (into_f32 && accumulate));
      }
      if (!into_f32) store_rounded(c_wide, target, accumulate, threads_);
    }
  }
}

void CpuBackend::compute(const op::Linear& linear) {
  multiply(Matrix(linear.x), Matrix(linear.w).transposed(), Matrix(linear.y), false);
}

void CpuBackend::compute(const op::LinearInputGradient& gradient) {
  multiply(Matrix(gradient.dy), Matrix(gradient.w), Matrix(gradient.dx), gradient.accumulate);
}

void CpuBackend::compute(const op::LinearWeightGradient& gradient) {
  multiply(Matrix(gradient.dy).transposed(), Matrix(gradient.x), Matrix(gradient.dw), true);
}

}  // namespace headwater::cpu
