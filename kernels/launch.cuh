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

// Remembers, for take_refused_launch() of kernels.h, whose launch by this thread was refused, if
// cudaGetLastError() will say that it was.
void note_refused_launch(const void* kernel, std::size_t shared_bytes);

// Queues kernel(arguments...) on `stream`: grid · block threads, `shared_bytes` of SHARED_BLOCK for each
// block. A launch that is refused shows in cudaGetLastError(), which the caller asks.
//
// A block has 48 KiB unasked, its SHARED_ARRAYs among them, whose size nobody knows here: so that leave is
// asked for whatever the size of the SHARED_BLOCK.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes,
            cudaStream_t stream, Arguments... arguments) {
  const auto* const function = reinterpret_cast<const void*>(kernel);
  if (shared_bytes > 0 && cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                               static_cast<int>(shared_bytes)) != cudaSuccess) {
    return note_refused_launch(function, shared_bytes);
  }
#if defined(__CUDACC__)
  kernel<<<grid, block, shared_bytes, stream>>>(static_cast<Parameters>(arguments)...);
#else
  ::emulation::launch({function, grid, block, shared_bytes}, stream,
                      [=] { kernel(static_cast<Parameters>(arguments)...); });
#endif
  if (cudaPeekAtLastError() != cudaSuccess) note_refused_launch(function, shared_bytes);
}

}  // namespace headwater::kernels
