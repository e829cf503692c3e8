#include "tile_product.h"

namespace headwater::cpu {
namespace {

// The chip's widest vector. It is loaded and stored at any address as a VectorInMemory; a variable of that
// type would be spilled to a place on the stack that instructions of aligned vectors cannot reach.
#ifdef __AVX512F__
constexpr std::int64_t kWidth = 16;
constexpr int kBlockRows = 4,
              kBlockVectors = 4;  // 16 sums of 32 registers: enough to hide the latency of an FMA
#else
constexpr std::int64_t kWidth = 8;
constexpr int kBlockRows = 4, kBlockVectors = 2;  // 8 sums of 16 registers
#endif
typedef float Vector __attribute__((vector_size(kWidth * sizeof(float))));
typedef float VectorInMemory
    __attribute__((vector_size(kWidth * sizeof(float)), aligned(sizeof(float)), may_alias));

struct Operands {
  const float* a;
  std::int64_t a_row, a_column;
  const float* b;
  std::int64_t b_row;
  float* c;
  std::int64_t c_row, depth;
  bool accumulate;
};

// A loaded vector is used kBlockRows times: keep it in a register, where g++ would load it again for each
// use.
inline void hold(Vector& vector) {
#ifdef __AVX512F__
  asm("" : "+v"(vector));
#elif defined(__AVX__)
  asm("" : "+x"(vector));
#else
  static_cast<void>(vector);
#endif
}

// kRows rows by kVectors vectors of c from row i and column j on, held in registers over the whole depth.
// Unrolled by hand-written pragmas: only then do the arrays become registers.
template <int kRows, int kVectors>
void block(const Operands& o, std::int64_t i, std::int64_t j) {
  Vector sum[kRows][kVectors];
  float* c = o.c + i * o.c_row + j;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v)
      sum[r][v] = o.accumulate ? *reinterpret_cast<const VectorInMemory*>(c + r * o.c_row + v * kWidth)
                               : VectorInMemory{};
  const float* a = o.a + i * o.a_row;
  const float* b = o.b + j;
  for (std::int64_t k = 0; k < o.depth; ++k) {
    Vector row[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      row[v] = *reinterpret_cast<const VectorInMemory*>(b + v * kWidth);
      hold(row[v]);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[r][v] += a[r * o.a_row] * row[v];
    a += o.a_column;
    b += o.b_row;
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v)
      *reinterpret_cast<VectorInMemory*>(c + r * o.c_row + v * kWidth) = sum[r][v];
}

template <int kVectors>
void column_block(const Operands& o, std::int64_t m, std::int64_t j) {
  std::int64_t i = 0;
  for (; i + kBlockRows <= m; i += kBlockRows) block<kBlockRows, kVectors>(o, i, j);
  for (; i < m; ++i) block<1, kVectors>(o, i, j);
}

}  // namespace

void tile_product(const float* a, std::int64_t a_row, std::int64_t a_column, const float* b,
                  std::int64_t b_row, float* c, std::int64_t c_row, std::int64_t m, std::int64_t n,
                  std::int64_t depth, bool accumulate) {
  const Operands o{a, a_row, a_column, b, b_row, c, c_row, depth, accumulate};
  std::int64_t j = 0;
  for (; j + kBlockVectors * kWidth <= n; j += kBlockVectors * kWidth) column_block<kBlockVectors>(o, m, j);
  for (; j < n; j += kWidth) column_block<1>(o, m, j);
}

}  // namespace headwater::cpu
