// Fills: each thread writes 16 bytes where the address allows, else one element at a time.

#include "kernels.h"
#include "vector.cuh"

namespace headwater::kernels {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMaxBlocks = 132 * 8;  // enough to fill an H100; what is left is walked in strides

unsigned blocks_for(std::int64_t threads) {
  const std::int64_t blocks = (threads + kThreads - 1) / kThreads;
  return static_cast<unsigned>(blocks < kMaxBlocks ? blocks : kMaxBlocks);
}

// The first `packs` · kElements elements by 16 bytes, the rest one by one.
__global__ void __launch_bounds__(kThreads)
    fill_kernel(float* __restrict__ x, float value, std::int64_t packs, std::int64_t n) {
  constexpr int kElements = Pack<float>::kElements;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kThreads;
  Pack<float> pack;
  for (float& element : pack.value) element = value;
  for (std::int64_t i = first; i < packs; i += stride) pack.store(x + i * kElements);
  for (std::int64_t i = packs * kElements + first; i < n; i += stride) x[i] = value;
}

}  // namespace

void fill(float* x, float value, std::int64_t n, cudaStream_t stream) {
  if (n == 0) return;
  const std::int64_t packs = reinterpret_cast<std::uintptr_t>(x) % 16 == 0 ? n / Pack<float>::kElements : 0;
  const std::int64_t single = n - packs * Pack<float>::kElements;
  launch(fill_kernel, blocks_for(packs > single ? packs : single), kThreads, 0, stream, x, value, packs, n);
}

}  // namespace headwater::kernels
