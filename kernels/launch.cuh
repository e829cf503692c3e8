#pragma once
// How a kernel is launched and how it takes shared memory, in a form that two compilers understand: nvcc for
// the GPU, and a plain C++ compiler with tests/emulation/include in front of its path, whose <cuda_runtime.h>
// executes kernels on the CPU. Kernels use launch() instead of <<<>>>, SHARED_ARRAY and SHARED_BLOCK instead
// of __shared__, and ptx.cuh instead of asm; docs/cuda.md has the whole dialect. Beside ptx.cuh this is the
// only file here that knows of the emulation.

#include <cuda_runtime.h>

#include <cstddef>

#if defined(__CUDACC__)

// SHARED_ARRAY(float, tile, [32][33]); is an array of the block, of a size known to the compiler.
#define SHARED_ARRAY(type, name, dimensions) __shared__ type name dimensions
// SHARED_BLOCK(memory, most); is an unsigned char*, 128-byte aligned, to the bytes that launch() was given
// for the block: `most` at most, a constant, which the PTX says in a comment (scripts/kernel_budget.py).
#define SHARED_BLOCK(name, most)                         \
  extern __shared__ __align__(128) unsigned char name[]; \
  asm volatile("// SHARED_BLOCK %0" ::"n"(most))

#else

#define SHARED_ARRAY(type, name, dimensions)        \
  typedef type name##_array dimensions;             \
  static const char name##_site = 0;                \
  name##_array& name = *static_cast<name##_array*>( \
      ::emulation::static_shared(&name##_site, sizeof(name##_array), alignof(name##_array)))
#define SHARED_BLOCK(name, most) unsigned char* const name = ::emulation::dynamic_shared(most)

#endif

namespace headwater::kernels {

// Queues kernel(arguments...) on `stream`: grid · block threads, `shared_bytes` of SHARED_BLOCK for each
// block. A launch that is refused shows in cudaGetLastError(), which the caller asks.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes,
            cudaStream_t stream, Arguments... arguments) {
#if defined(__CUDACC__)
  constexpr std::size_t kGrantedUnasked = 48 * 1024;
  if (shared_bytes > kGrantedUnasked) {
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes));
  }
  kernel<<<grid, block, shared_bytes, stream>>>(static_cast<Parameters>(arguments)...);
#else
  ::emulation::launch({reinterpret_cast<const void*>(kernel), grid, block, shared_bytes, nullptr, nullptr, 0},
                      stream, [=] { kernel(static_cast<Parameters>(arguments)...); });
#endif
}

}  // namespace headwater::kernels
