// mma.sync and ldmatrix, from the PTX ISA's pictures of their fragments. Products of bf16, f16 and tf32 are
// exact in float; they are summed in float, in the order of k (the GPU's order and rounding are not
// specified).

#include "access_check.h"

#include <bit>
#include <cstring>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace emulation {
namespace {

struct MmaOperands {
  float* d;
  const std::uint32_t* a;
  std::uint32_t b[2];
};

// The two elements of a register.
template <class T>
void unpack(std::uint32_t packed, float& low, float& high);
template <>
void unpack<__nv_bfloat16>(std::uint32_t packed, float& low, float& high) {
  low = std::bit_cast<float>(packed << 16U);
  high = std::bit_cast<float>(packed & 0xffff0000U);
}
template <>
void unpack<__half>(std::uint32_t packed, float& low, float& high) {
  low = __half2float(__ushort_as_half(static_cast<unsigned short>(packed)));
  high = __half2float(__ushort_as_half(static_cast<unsigned short>(packed >> 16U)));
}

// Where register i of a lane lies in D.
int row_of(int lane, int i) { return lane / 4 + 8 * (i / 2); }
int column_of(int lane, int i) { return 2 * (lane % 4) + i % 2; }

template <int kDepth>
void multiply(void* const operands[32], const float (&a)[16][kDepth], const float (&b)[kDepth][8]) {
  float d[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i)
      d[row_of(lane, i)][column_of(lane, i)] = static_cast<MmaOperands*>(operands[lane])->d[i];
  }
  for (int row = 0; row < 16; ++row) {
    for (int k = 0; k < kDepth; ++k) {
      for (int column = 0; column < 8; ++column) d[row][column] += a[row][k] * b[k][column];
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i)
      static_cast<MmaOperands*>(operands[lane])->d[i] = d[row_of(lane, i)][column_of(lane, i)];
  }
}

template <class T>
void compute_mma_16(void* const operands[32], std::uint32_t /*mask*/) {
  float a[16][16], b[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const auto& mine = *static_cast<const MmaOperands*>(operands[lane]);
    const int g = lane / 4, q = lane % 4;
    for (int i = 0; i < 4; ++i) {
      const int row = g + 8 * (i % 2), column = 2 * q + 8 * (i / 2);
      unpack<T>(mine.a[i], a[row][column], a[row][column + 1]);
    }
    for (int i = 0; i < 2; ++i) unpack<T>(mine.b[i], b[2 * q + 8 * i][g], b[2 * q + 8 * i + 1][g]);
  }
  multiply<16>(operands, a, b);
}

void compute_mma_8_tf32(void* const operands[32], std::uint32_t /*mask*/) {
  float a[16][8], b[8][8];
  const auto tf32 = [](std::uint32_t bits) { return std::bit_cast<float>(bits & 0xffffe000U); };
  for (int lane = 0; lane < 32; ++lane) {
    const auto& mine = *static_cast<const MmaOperands*>(operands[lane]);
    const int g = lane / 4, q = lane % 4;
    for (int i = 0; i < 4; ++i) a[g + 8 * (i % 2)][q + 4 * (i / 2)] = tf32(mine.a[i]);
    for (int i = 0; i < 2; ++i) b[q + 4 * i][g] = tf32(mine.b[i]);
  }
  multiply<8>(operands, a, b);
}

struct LdmatrixOperands {
  std::uint32_t* registers;
  const unsigned char* row;
  int matrices;
  bool transposed;
};

void compute_ldmatrix(void* const operands[32], std::uint32_t /*mask*/) {
  const auto& first = *static_cast<const LdmatrixOperands*>(operands[0]);
  for (int m = 0; m < first.matrices; ++m) {
    std::uint16_t matrix[8][8];
    for (int r = 0; r < 8; ++r) {
      std::memcpy(matrix[r], static_cast<const LdmatrixOperands*>(operands[8 * m + r])->row, 16);
    }
    for (int lane = 0; lane < 32; ++lane) {
      const int i = lane / 4, j = 2 * (lane % 4);
      const std::uint32_t low = first.transposed ? matrix[j][i] : matrix[i][j];
      const std::uint32_t high = first.transposed ? matrix[j + 1][i] : matrix[i][j + 1];
      static_cast<LdmatrixOperands*>(operands[lane])->registers[m] = low | high << 16U;
    }
  }
}

}  // namespace

void mma_m16n8k16_bf16(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  Block::current()->lane().place = __builtin_return_address(0);
  MmaOperands operands{d, a, {b0, b1}};
  warp_operation("mma.m16n8k16.bf16", 0xffffffffU, &operands, compute_mma_16<__nv_bfloat16>);
}

void mma_m16n8k16_f16(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  Block::current()->lane().place = __builtin_return_address(0);
  MmaOperands operands{d, a, {b0, b1}};
  warp_operation("mma.m16n8k16.f16", 0xffffffffU, &operands, compute_mma_16<__half>);
}

void mma_m16n8k8_tf32(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  Block::current()->lane().place = __builtin_return_address(0);
  MmaOperands operands{d, a, {b0, b1}};
  warp_operation("mma.m16n8k8.tf32", 0xffffffffU, &operands, compute_mma_8_tf32);
}

void ldmatrix(std::uint32_t* registers, int matrices, bool transposed, const void* row) {
  static const char* const names[2][5] = {
      {"", "ldmatrix.x1", "ldmatrix.x2", "", "ldmatrix.x4"},
      {"", "ldmatrix.x1.trans", "ldmatrix.x2.trans", "", "ldmatrix.x4.trans"}};
  Block& block = *Block::current();
  block.lane().place = __builtin_return_address(0);
  const char* const name = names[transposed ? 1 : 0][matrices];
  // The lanes whose address counts.
  if (static_cast<int>(block.lane().number % 32U) < 8 * matrices) {
    const auto* const address = static_cast<const unsigned char*>(row);
    if (reinterpret_cast<std::uintptr_t>(row) % 16 != 0)
      block.fault(std::string("gives ") + name + " a misaligned row");
    if (address < block.shared() || address + 16 > block.shared() + block.shared_bytes()) {
      block.fault(std::string("gives ") + name + " a row outside the block's shared memory");
    }
    check_access(block, row, 16, 16, AccessKind::read);
  }
  LdmatrixOperands operands{registers, static_cast<const unsigned char*>(row), matrices, transposed};
  warp_operation(name, 0xffffffffU, &operands, compute_ldmatrix);
}

namespace {

void check_16(const void* address, AccessKind kind, const void* place) {
  Block& block = *Block::current();
  block.lane().place = place;
  if (reinterpret_cast<std::uintptr_t>(address) % 16 != 0) {
    block.fault(std::string(kind == AccessKind::read ? "loads" : "stores") +
                " 16 bytes at a misaligned address");
  }
  check_access(block, address, 16, 16, kind);
}

}  // namespace

uint4 load_16(const void* address) {
  check_16(address, AccessKind::read, __builtin_return_address(0));
  return *static_cast<const uint4*>(address);
}

void store_16(void* address, uint4 value) {
  check_16(address, AccessKind::write, __builtin_return_address(0));
  *static_cast<uint4*>(address) = value;
}

}  // namespace emulation
