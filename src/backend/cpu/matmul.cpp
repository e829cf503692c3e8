// Linear layers: y = x wᵀ and its two gradients.

#include "headwater/model/op_workspace.h"

#include "checks.h"
#include "cpu_catalogue.h"
#include "parallel.h"

namespace headwater::cpu {
namespace {

Matrix matrix(const TensorView& x) { return {x.data, x.dtype, x.rows(), x.columns(), x.row_stride, 1}; }

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

}  // namespace

void CpuBackend::multiply(const Matrix& a, const Matrix& b, const Matrix& c, bool accumulate) {
  if (a.dtype != DType::bf16 || !widen_bf16_) return products_.multiply(a, b, c, accumulate);
  Scratch memory = scratch(cpu_widened_product_bytes());
  constexpr std::int64_t kTile = kWidenedTile;
  float* a_wide = memory.take<float>(kTile * kTile);
  float* b_wide = memory.take<float>(kTile * kTile);
  float* c_wide = memory.take<float>(kTile * kTile);
  for (std::int64_t row = 0; row < c.rows; row += kTile) {
    for (std::int64_t column = 0; column < c.columns; column += kTile) {
      const std::int64_t rows = std::min(kTile, c.rows - row), columns = std::min(kTile, c.columns - column);
      const Matrix target = part(c, row, rows, column, columns);
      const bool in_place = c.dtype == DType::f32;
      const Matrix sum = in_place ? target : Matrix{c_wide, DType::f32, rows, columns, columns, 1};
      for (std::int64_t k = 0; k < a.columns; k += kTile) {
        const std::int64_t depth = std::min(kTile, a.columns - k);
        products_.multiply(widened(part(a, row, rows, k, depth), a_wide, threads_),
                           widened(part(b, k, depth, column, columns), b_wide, threads_), sum,
                           k > 0 || (in_place && accumulate));
      }
      if (!in_place) store_rounded(c_wide, target, accumulate, threads_);
    }
  }
}

// Products read the canonical view.
void CpuBackend::refresh(Weight& weight) {
  HW_CHECK(!weight.prepared, "the CPU backend keeps no prepared weights, but {} was set aside",
           to_string(weight.prepared.shape));
}

void CpuBackend::linear(TensorView x, const Weight& w, TensorView y) {
  multiply(matrix(x), matrix(w.canonical).transposed(), matrix(y), false);
}

void CpuBackend::linear_input_gradient(TensorView dy, const Weight& w, TensorView dx, bool accumulate) {
  multiply(matrix(dy), matrix(w.canonical), matrix(dx), accumulate);
}

void CpuBackend::linear_weight_gradient(TensorView dy, TensorView x, TensorView dw) {
  HW_CHECK(dw.dtype == DType::f32, "a weight gradient in {}", name_of(dw.dtype));
  multiply(matrix(dy).transposed(), matrix(x), matrix(dw), true);
}

}  // namespace headwater::cpu
