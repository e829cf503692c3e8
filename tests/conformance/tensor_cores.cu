// mma.sync alone, with fragments filled element by element as the PTX ISA describes them, and behind
// ldmatrix, which must bring the same fragments from matrices in shared memory.

#include "instructions.h"
#include "ptx.cuh"
#include "run.h"

#include <cmath>

namespace headwater::conformance {
namespace {

enum Kind { kBf16, kF16, kTf32 };

template <Kind kKind>
__device__ std::uint32_t pair(float low, float high) {
  return kKind == kBf16 ? ptx::pack_bf16(low, high) : ptx::pack_f16(low, high);
}

// § "Matrix Fragments for mma.m16n8k16": element i of A is in row group (+ 8 for i = 2, 3, 6, 7) and column
// 2·(lane % 4) + (i & 1) (+ 8 for i ≥ 4); of B in row 2·(lane % 4) + (i & 1) (+ 8 for i ≥ 2), column group;
// of D in row group (+ 8 for i ≥ 2), column 2·(lane % 4) + (i & 1). a is [16, 16], b [16, 8], c [16, 8].
template <Kind kKind>
__global__ void mma_16(const float* a, const float* b, const float* c, std::uint32_t* out) {
  const int lane = static_cast<int>(threadIdx.x), group = lane >> 2, member = lane % 4;
  const auto a_at = [&](int i) {
    const int row = group + ((i / 2) % 2 == 1 ? 8 : 0), column = 2 * member + (i & 1) + (i >= 4 ? 8 : 0);
    return a[row * 16 + column];
  };
  const auto b_at = [&](int i) { return b[(2 * member + (i & 1) + (i >= 2 ? 8 : 0)) * 8 + group]; };
  float d[4];
  for (int i = 0; i < 4; ++i) d[i] = c[(group + (i >= 2 ? 8 : 0)) * 8 + 2 * member + (i & 1)];
  const std::uint32_t fragment[4] = {pair<kKind>(a_at(0), a_at(1)), pair<kKind>(a_at(2), a_at(3)),
                                     pair<kKind>(a_at(4), a_at(5)), pair<kKind>(a_at(6), a_at(7))};
  const std::uint32_t b0 = pair<kKind>(b_at(0), b_at(1)), b1 = pair<kKind>(b_at(2), b_at(3));
  if constexpr (kKind == kBf16) {
    ptx::mma_m16n8k16_bf16(d, fragment, b0, b1);
  } else {
    ptx::mma_m16n8k16_f16(d, fragment, b0, b1);
  }
  for (int i = 0; i < 4; ++i) out[lane * 4 + i] = __float_as_uint(d[i]);
}

// § "Matrix Fragments for mma.m16n8k8" (.tf32): a [16, 8], b [8, 8], c [16, 8].
__global__ void mma_8(const float* a, const float* b, const float* c, std::uint32_t* out) {
  const int lane = static_cast<int>(threadIdx.x), group = lane >> 2, member = lane % 4;
  std::uint32_t fragment[4];
  for (int i = 0; i < 4; ++i) {
    fragment[i] = ptx::to_tf32(a[(group + (i == 1 || i == 3 ? 8 : 0)) * 8 + member + (i >= 2 ? 4 : 0)]);
  }
  float d[4];
  for (int i = 0; i < 4; ++i) d[i] = c[(group + (i >= 2 ? 8 : 0)) * 8 + 2 * member + (i & 1)];
  ptx::mma_m16n8k8_tf32(d, fragment, ptx::to_tf32(b[member * 8 + group]),
                        ptx::to_tf32(b[(member + 4) * 8 + group]));
  for (int i = 0; i < 4; ++i) out[lane * 4 + i] = __float_as_uint(d[i]);
}

// A by ldmatrix.x4 from its rows; B by ldmatrix.x2.trans from its rows.
__global__ void mma_from_shared(const float* a, const float* b, const float* c, std::uint32_t* out) {
  SHARED_ARRAY(uint4, a_rows, [16 * 2]);
  SHARED_ARRAY(uint4, b_rows, [16]);
  auto* const a_tile = reinterpret_cast<__nv_bfloat16*>(a_rows);
  auto* const b_tile = reinterpret_cast<__nv_bfloat16*>(b_rows);
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = lane; i < 16 * 16; i += 32) a_tile[i] = __float2bfloat16_rn(a[i]);
  for (int i = lane; i < 16 * 8; i += 32) b_tile[i] = __float2bfloat16_rn(b[i]);
  __syncthreads();
  std::uint32_t fragment[4], b_fragment[2];
  ptx::ldmatrix_x4(fragment, a_tile + (lane % 16) * 16 + (lane / 16) * 8);
  ptx::ldmatrix_x2_trans(b_fragment, b_tile + (lane % 16) * 8);
  const int group = lane >> 2, member = lane % 4;
  float d[4];
  for (int i = 0; i < 4; ++i) d[i] = c[(group + (i >= 2 ? 8 : 0)) * 8 + 2 * member + (i & 1)];
  ptx::mma_m16n8k16_bf16(d, fragment, b_fragment[0], b_fragment[1]);
  for (int i = 0; i < 4; ++i) out[lane * 4 + i] = __float_as_uint(d[i]);
}

// C + A·B in double, in the order of the lanes' registers.
Outcome product(const char* name, void (*kernel)(const float*, const float*, const float*, std::uint32_t*),
                int depth) {
  const auto k = static_cast<std::size_t>(depth);
  const std::vector<float> a = random_floats(16 * k, 1), b = random_floats(k * 8, 2),
                           c = random_floats(16 * 8, 3);
  Outcome outcome{name,
                  true,
                  words_of(32 * 4, 32, kernel, OnDevice<float>(a), OnDevice<float>(b), OnDevice<float>(c)),
                  {},
                  2e-5};
  for (std::size_t lane = 0; lane < 32; ++lane) {
    for (std::size_t i = 0; i < 4; ++i) {
      const std::size_t row = lane / 4 + 8 * (i / 2), column = 2 * (lane % 4) + i % 2;
      double sum = static_cast<double>(c[row * 8 + column]);
      for (std::size_t j = 0; j < k; ++j)
        sum += static_cast<double>(a[row * k + j]) * static_cast<double>(b[j * 8 + column]);
      outcome.meaning.push_back(sum);
    }
  }
  return outcome;
}

// `in` holds kMatrices 8×8 matrices one after the other, two elements to a word.
template <int kMatrices, bool kTransposed>
__global__ void load_matrices(const std::uint32_t* in, std::uint32_t* out) {
  SHARED_ARRAY(uint4, rows, [32]);
  const int lane = static_cast<int>(threadIdx.x);
  auto* const words = reinterpret_cast<std::uint32_t*>(rows);
  for (int i = lane; i < kMatrices * 32; i += 32) words[i] = in[i];
  __syncthreads();
  const void* const row = rows + lane % (8 * kMatrices);
  std::uint32_t registers[kMatrices];
  if constexpr (kMatrices == 4) {
    kTransposed ? ptx::ldmatrix_x4_trans(registers, row) : ptx::ldmatrix_x4(registers, row);
  } else if constexpr (kMatrices == 2) {
    kTransposed ? ptx::ldmatrix_x2_trans(registers, row) : ptx::ldmatrix_x2(registers, row);
  } else {
    kTransposed ? ptx::ldmatrix_x1_trans(registers[0], row) : ptx::ldmatrix_x1(registers[0], row);
  }
  for (int m = 0; m < kMatrices; ++m) out[lane * kMatrices + m] = registers[m];
}

template <int kMatrices, bool kTransposed>
Outcome loaded(const char* name) {
  const std::vector<std::uint32_t> in = random_words(kMatrices * 32, 4);
  Outcome outcome{
      name,
      false,
      words_of(kMatrices * 32, 32, load_matrices<kMatrices, kTransposed>, OnDevice<std::uint32_t>(in)),
      {},
      0.0};
  const auto element = [&in](std::size_t m, std::size_t row, std::size_t column) {
    return in[m * 32 + row * 4 + column / 2] >> 16U * (column % 2) & 0xffffU;
  };
  for (std::size_t lane = 0; lane < 32; ++lane) {
    for (std::size_t m = 0; m < kMatrices; ++m) {
      const std::size_t i = lane / 4, j = 2 * (lane % 4);
      const std::uint32_t low = kTransposed ? element(m, j, i) : element(m, i, j);
      const std::uint32_t high = kTransposed ? element(m, j + 1, i) : element(m, i, j + 1);
      outcome.meaning.push_back(low | high << 16U);
    }
  }
  return outcome;
}

}  // namespace

std::vector<Outcome> tensor_core_outcomes() {
  return {product("mma.m16n8k16.bf16", mma_16<kBf16>, 16),
          product("mma.m16n8k16.f16", mma_16<kF16>, 16),
          product("mma.m16n8k8.tf32", mma_8, 8),
          product("ldmatrix.x4 + ldmatrix.x2.trans + mma.bf16", mma_from_shared, 16),
          loaded<1, false>("ldmatrix.x1"),
          loaded<2, false>("ldmatrix.x2"),
          loaded<4, false>("ldmatrix.x4"),
          loaded<1, true>("ldmatrix.x1.trans"),
          loaded<2, true>("ldmatrix.x2.trans"),
          loaded<4, true>("ldmatrix.x4.trans")};
}

}  // namespace headwater::conformance
