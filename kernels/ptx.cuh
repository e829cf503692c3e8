#pragma once
// Every instruction of the GPU that C++ has no words for, as a function: its PTX for nvcc, its meaning for
// the emulation. Names and semantics follow the PTX ISA manual (8.0); tests/conformance compares the two
// sides instruction by instruction. Everything called "warp-wide" must be reached by all 32 lanes.

#include "launch.cuh"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#if defined(__CUDACC__)
#define PTX_FUNCTION __device__ __forceinline__
#else
#define PTX_FUNCTION inline
#endif

namespace headwater::ptx {

inline constexpr std::uint32_t kAllLanes = 0xffffffffU;

// ---- tensor cores: D += A·B, warp-wide; A row-major, B column-major, sums fp32
// Lane l, with g = l / 4 and q = l % 4, holds of a 16×16 A: a[0] (row g, columns 2q and 2q + 1), a[1] (row g
// + 8, those), a[2] (row g, columns 2q + 8, + 9), a[3] (row g + 8, those); of the 16×8 B: b0 (rows 2q, 2q + 1
// of column g), b1 (rows 2q + 8, + 9); of the 16×8 D: d[0], d[1] (row g, columns 2q, 2q + 1), d[2], d[3] (row
// g + 8). The lower half of a register is the element of lower index.

PTX_FUNCTION void mma_m16n8k16_bf16(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                    std::uint32_t b1) {
#if defined(__CUDACC__)
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  emulation::mma_m16n8k16_bf16(d, a, b0, b1);
#endif
}

PTX_FUNCTION void mma_m16n8k16_f16(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                   std::uint32_t b1) {
#if defined(__CUDACC__)
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  emulation::mma_m16n8k16_f16(d, a, b0, b1);
#endif
}

// tf32: a[0] (row g, column q), a[1] (row g + 8, column q), a[2] (row g, column q + 4), a[3] (row g + 8,
// column q + 4); b0 (row q, column g), b1 (row q + 4, column g); D as above. Operands from to_tf32().
PTX_FUNCTION void mma_m16n8k8_tf32(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                   std::uint32_t b1) {
#if defined(__CUDACC__)
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  emulation::mma_m16n8k8_tf32(d, a, b0, b1);
#endif
}

// ---- ldmatrix, warp-wide: 8×8 matrices of 16-bit elements from shared memory
// Lane 8·m + r gives the 16-byte aligned address of row r of matrix m (x2: lanes 0–15 count, x1: lanes 0–7);
// lane l gets in register m the elements 2(l % 4) and + 1 of row l / 4, or with _trans of column l / 4.

#if defined(__CUDACC__)
PTX_FUNCTION std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}
#endif

PTX_FUNCTION void ldmatrix_x4(std::uint32_t (&r)[4], const void* row) {
#if defined(__CUDACC__)
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
#else
  emulation::ldmatrix(r, 4, false, row);
#endif
}

PTX_FUNCTION void ldmatrix_x4_trans(std::uint32_t (&r)[4], const void* row) {
#if defined(__CUDACC__)
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
#else
  emulation::ldmatrix(r, 4, true, row);
#endif
}

PTX_FUNCTION void ldmatrix_x2(std::uint32_t (&r)[2], const void* row) {
#if defined(__CUDACC__)
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(row))
               : "memory");
#else
  emulation::ldmatrix(r, 2, false, row);
#endif
}

PTX_FUNCTION void ldmatrix_x2_trans(std::uint32_t (&r)[2], const void* row) {
#if defined(__CUDACC__)
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(row))
               : "memory");
#else
  emulation::ldmatrix(r, 2, true, row);
#endif
}

PTX_FUNCTION void ldmatrix_x1(std::uint32_t& r, const void* row) {
#if defined(__CUDACC__)
  asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];"
               : "=r"(r)
               : "r"(shared_address(row))
               : "memory");
#else
  emulation::ldmatrix(&r, 1, false, row);
#endif
}

PTX_FUNCTION void ldmatrix_x1_trans(std::uint32_t& r, const void* row) {
#if defined(__CUDACC__)
  asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];"
               : "=r"(r)
               : "r"(shared_address(row))
               : "memory");
#else
  emulation::ldmatrix(&r, 1, true, row);
#endif
}

// ---- cp.async: global to shared memory while the thread goes on
// kBytes 4, 8 or 16 (past L1), both addresses aligned to that. The first source_bytes are copied, the rest
// becomes zero: with 0 nothing is read. Copies since the last commit make a group; a wait covers the thread's
// own copies only, so that a barrier must follow before others read.

template <int kBytes>
PTX_FUNCTION void cp_async(void* shared, const void* global, int source_bytes = kBytes) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
#if defined(__CUDACC__)
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :
                 : "r"(shared_address(shared)), "l"(__cvta_generic_to_global(global)), "r"(source_bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;"
                 :
                 : "r"(shared_address(shared)), "l"(__cvta_generic_to_global(global)), "n"(kBytes),
                   "r"(source_bytes)
                 : "memory");
  }
#else
  emulation::copy_async(shared, global, kBytes, source_bytes);
#endif
}

PTX_FUNCTION void cp_async_commit() {
#if defined(__CUDACC__)
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  emulation::commit_copies();
#endif
}

// Until at most the newest kGroupsLeft committed groups are under way.
template <int kGroupsLeft>
PTX_FUNCTION void cp_async_wait() {
#if defined(__CUDACC__)
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroupsLeft) : "memory");
#else
  emulation::wait_for_copies(kGroupsLeft);
#endif
}

// ---- lanes of a warp, warp-wide
// T is of four bytes: float, int, std::uint32_t.

#if defined(__CUDACC__)
template <class T>
PTX_FUNCTION T shuffle(T value, int lane) {
  return __shfl_sync(kAllLanes, value, lane);
}
template <class T>
PTX_FUNCTION T shuffle_xor(T value, int mask) {
  return __shfl_xor_sync(kAllLanes, value, mask);
}
template <class T>
PTX_FUNCTION T shuffle_down(T value, int by) {
  return __shfl_down_sync(kAllLanes, value, by);
}
template <class T>
PTX_FUNCTION T shuffle_up(T value, int by) {
  return __shfl_up_sync(kAllLanes, value, by);
}
PTX_FUNCTION std::uint32_t ballot(bool predicate) { return __ballot_sync(kAllLanes, predicate); }
#else
template <class T>
T shuffle_as(emulation::Shuffle mode, T value, int argument) {
  return std::bit_cast<T>(emulation::shuffle(mode, std::bit_cast<std::uint32_t>(value),
                                             static_cast<unsigned>(argument), kAllLanes));
}
template <class T>
T shuffle(T value, int lane) {
  return shuffle_as(emulation::Shuffle::index, value, lane);
}
template <class T>
T shuffle_xor(T value, int mask) {
  return shuffle_as(emulation::Shuffle::exclusive_or, value, mask);
}
template <class T>
T shuffle_down(T value, int by) {
  return shuffle_as(emulation::Shuffle::down, value, by);
}
template <class T>
T shuffle_up(T value, int by) {
  return shuffle_as(emulation::Shuffle::up, value, by);
}
inline std::uint32_t ballot(bool predicate) { return emulation::ballot(predicate, kAllLanes); }
#endif
PTX_FUNCTION bool any(bool predicate) { return ballot(predicate) != 0; }
PTX_FUNCTION bool all(bool predicate) { return ballot(predicate) == kAllLanes; }

// ---- barriers among a part of a block: `id` 1 to 15 (0 is __syncthreads), `threads` a multiple of 32
// sync waits for `threads` arrivals in all; arrive counts as one and goes on.

PTX_FUNCTION void barrier_sync(int id, int threads) {
#if defined(__CUDACC__)
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
#else
  emulation::named_barrier(static_cast<unsigned>(id), static_cast<unsigned>(threads), true);
#endif
}

PTX_FUNCTION void barrier_arrive(int id, int threads) {
#if defined(__CUDACC__)
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
#else
  emulation::named_barrier(static_cast<unsigned>(id), static_cast<unsigned>(threads), false);
#endif
}

// ---- sums in global memory, and blocks that tell each other of them

// x is added to *address, y to address[1], each in one piece; address is 8-byte aligned. In which order with
// others' additions nobody promises.
PTX_FUNCTION void add_two(float* address, float x, float y) {
#if defined(__CUDACC__) && __CUDA_ARCH__ >= 900
  asm volatile("red.relaxed.gpu.global.add.v2.f32 [%0], {%1, %2};" ::"l"(__cvta_generic_to_global(address)),
               "f"(x), "f"(y)
               : "memory");
#else
  atomicAdd(address, x);
  atomicAdd(address + 1, y);
#endif
}

// Adds to a count, once all that this thread has written, and has seen others write before a barrier, is
// there for whoever sees the count.
PTX_FUNCTION void add_release(int* count, int value) {
#if defined(__CUDACC__)
  asm volatile("red.release.gpu.global.add.s32 [%0], %1;" ::"l"(__cvta_generic_to_global(count)), "r"(value)
               : "memory");
#else
  emulation::add_release(count, value);
#endif
}

// Until *count is `value`, which another block makes it by add_release(): that block must have begun before.
PTX_FUNCTION void await(const int* count, int value) {
#if defined(__CUDACC__)
  const std::size_t address = __cvta_generic_to_global(count);
  int seen;
  for (;;) {
    asm volatile("ld.acquire.gpu.global.s32 %0, [%1];" : "=r"(seen) : "l"(address) : "memory");
    if (seen == value) return;
    // An acquire empties the multiprocessor's L1, so that it is not asked again before there is something to
    // acquire.
    do {
      __nanosleep(32);
      asm volatile("ld.relaxed.gpu.global.s32 %0, [%1];" : "=r"(seen) : "l"(address));
    } while (seen != value);
  }
#else
  emulation::await(count, value);
#endif
}

// ---- 16-byte accesses, aligned to 16

PTX_FUNCTION uint4 load_16(const void* address) {
#if defined(__CUDACC__)
  return *static_cast<const uint4*>(address);
#else
  return emulation::load_16(address);
#endif
}

// From global memory that no thread writes during the kernel; not kept in L1: for what is read once.
PTX_FUNCTION uint4 load_16_once(const void* global) {
#if defined(__CUDACC__)
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(__cvta_generic_to_global(global)));
  return v;
#else
  return emulation::load_16(global);
#endif
}

// To global memory. Of an assignment nvcc often makes four stores.
PTX_FUNCTION void store_16(void* global, uint4 v) {
#if defined(__CUDACC__)
  asm volatile("st.global.v4.u32 [%0], {%1,%2,%3,%4};" ::"l"(__cvta_generic_to_global(global)), "r"(v.x),
               "r"(v.y), "r"(v.z), "r"(v.w)
               : "memory");
#else
  emulation::store_16(global, v);
#endif
}

// To global memory that is not read again soon: first to leave the caches.
PTX_FUNCTION void store_16_streaming(void* global, uint4 v) {
#if defined(__CUDACC__)
  asm volatile("st.global.cs.v4.u32 [%0], {%1,%2,%3,%4};" ::"l"(__cvta_generic_to_global(global)), "r"(v.x),
               "r"(v.y), "r"(v.z), "r"(v.w)
               : "memory");
#else
  emulation::store_16(global, v);
#endif
}

// ---- conversions and functions

// 2^x to 2 ulp; subnormal results are zero, 2^−∞ = 0.
PTX_FUNCTION float exp2(float x) {
#if defined(__CUDACC__)
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return emulation::exp2(x);
#endif
}

// x, of which the compiler forgets where it came from. What a loop derives from it is computed in each turn,
// and not before the loop, to be kept in registers that are needed for more.
PTX_FUNCTION int opaque(int x) {
#if defined(__CUDACC__)
  asm volatile("" : "+r"(x));
#endif
  return x;
}

// threadIdx.x % kRange, a power of two, likewise forgotten, but known to be from 0 to kRange - 1: so that to
// divide it is to shift it.
template <int kRange>
PTX_FUNCTION int opaque_thread() {
  return opaque(static_cast<int>(threadIdx.x)) & (kRange - 1);
}

// Two floats to nearest even, `low` in the lower half.
PTX_FUNCTION std::uint32_t pack_bf16(float low, float high) {
#if defined(__CUDACC__)
  std::uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
#else
  return std::bit_cast<std::uint32_t>(__floats2bfloat162_rn(low, high));
#endif
}

PTX_FUNCTION std::uint32_t pack_f16(float low, float high) {
#if defined(__CUDACC__)
  std::uint32_t packed;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
#else
  return std::bit_cast<std::uint32_t>(__half2{__float2half_rn(low), __float2half_rn(high)});
#endif
}

// The halves of two packed bf16 as floats: exact, one instruction each.
PTX_FUNCTION float low_bf16(std::uint32_t packed) { return __uint_as_float(packed << 16U); }
PTX_FUNCTION float high_bf16(std::uint32_t packed) { return __uint_as_float(packed & 0xffff0000U); }

// bits = 2 · bits + (x ≥ least ? 1 : 0), least > 0: in two instructions.
PTX_FUNCTION void add_bit_at_least(std::uint32_t& bits, std::uint32_t x, std::uint32_t least) {
#if defined(__CUDACC__)
  asm("{.reg .u32 sum;\n\t"
      "add.cc.u32 sum, %1, %2;\n\t"  // carries where x − least does not borrow
      "addc.u32 %0, %0, %0;}"
      : "+r"(bits)
      : "r"(x), "r"(0U - least));
#else
  bits = 2 * bits + (x >= least ? 1U : 0U);
#endif
}

// To the 10-bit mantissa of tf32, nearest, ties away from zero.
PTX_FUNCTION std::uint32_t to_tf32(float x) {
#if defined(__CUDACC__)
  std::uint32_t y;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
  return y;
#else
  return emulation::to_tf32(x);
#endif
}

}  // namespace headwater::ptx

#undef PTX_FUNCTION
