#pragma once
// What device code may name: CUDA's qualifiers, the built-in variables, shared memory, barriers, atomics. A
// kernel's thread is a fiber; what waits for other threads hands the processor to the next fiber (block.h).
// Where a line is a default argument it is the caller's, for reports of who waits where.

#include "vector_types.h"

#include <cstddef>
#include <cstdint>

#define __global__
#define __device__
#define __host__
#define __constant__ const
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)

// Set by the scheduler at each change of fiber; all fibers of a block run on one thread of the CPU.
extern constinit thread_local uint3 threadIdx;
extern constinit thread_local uint3 blockIdx;
extern constinit thread_local dim3 blockDim;
extern constinit thread_local dim3 gridDim;
inline constexpr int warpSize = 32;

void __syncthreads(int line = __builtin_LINE(), const char* file = __builtin_FILE());
void __syncwarp(unsigned mask = 0xffffffffU);
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() {}

float atomicAdd(float* address, float value);
double atomicAdd(double* address, double value);
int atomicAdd(int* address, int value);
unsigned atomicAdd(unsigned* address, unsigned value);
unsigned long long atomicAdd(unsigned long long* address, unsigned long long value);
int atomicMax(int* address, int value);
unsigned atomicMax(unsigned* address, unsigned value);
int atomicCAS(int* address, int compare, int value);
unsigned atomicCAS(unsigned* address, unsigned compare, unsigned value);

namespace emulation {

// The memory of the current block behind SHARED_ARRAY (one array per site in the source) and SHARED_BLOCK.
void* static_shared(const void* site, std::size_t bytes, std::size_t alignment);
unsigned char* dynamic_shared(std::size_t most);  // of a launch that gave the block no more than that

// ---- what ptx.cuh calls ----
// A warp-wide operation: each lane hands over its operands; the last of `mask` to arrive computes for all.
using WarpFunction = void (*)(void* const operands[32], std::uint32_t mask);
void warp_operation(const char* name, std::uint32_t mask, void* operands, WarpFunction compute);

void named_barrier(unsigned id, unsigned threads, bool wait);

// D += A·B of mma.sync, fragments as the PTX ISA lays them out (§ "Matrix Fragments for mma").
void mma_m16n8k16_bf16(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1);
void mma_m16n8k16_f16(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1);
void mma_m16n8k8_tf32(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1);

// `matrices` 8×8 matrices of 16-bit elements; lane 8·m + r gives the address of row r of matrix m.
void ldmatrix(std::uint32_t* registers, int matrices, bool transposed, const void* row);

// cp.async: `bytes` to shared memory, the first `source_bytes` of them from global memory, the rest zero.
void copy_async(void* shared, const void* global, int bytes, int source_bytes);
void commit_copies();
void wait_for_copies(int groups_left);  // all groups but the newest `groups_left`

// What blocks tell each other through global memory. await() faults where no other block can make the count
// `value` any more.
void add_release(int* count, int value);
void await(const int* count, int value);

// Vector accesses, which the checks see as one.
uint4 load_16(const void* address);
void store_16(void* address, uint4 value);

// Lane `source(lane)` of each lane, a value of four bytes; SHFL's four modes.
enum class Shuffle { index, up, down, exclusive_or };
std::uint32_t shuffle(Shuffle mode, std::uint32_t value, unsigned argument, std::uint32_t mask);
std::uint32_t ballot(bool predicate, std::uint32_t mask);

float exp2(float x);
std::uint32_t to_tf32(float x);

}  // namespace emulation
