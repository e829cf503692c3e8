// Fills and casts: each thread takes 16 bytes of the wider side where addresses allow, else one element at a
// time.

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

bool aligned_16(const void* a) { return reinterpret_cast<std::uintptr_t>(a) % 16 == 0; }

__device__ __forceinline__ std::int64_t first_index() {
  return static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
}
__device__ __forceinline__ std::int64_t index_stride() {
  return static_cast<std::int64_t>(gridDim.x) * kThreads;
}

// The first `packs` · kElements elements by 16 bytes, the rest one by one.
template <class T>
__global__ void __launch_bounds__(kThreads)
    fill_kernel(T* __restrict__ x, float value, std::int64_t packs, std::int64_t n) {
  Pack<T> pack;
  for (float& element : pack.value) element = value;
  for (std::int64_t i = first_index(); i < packs; i += index_stride()) pack.store(x + i * Pack<T>::kElements);
  for (std::int64_t i = packs * Pack<T>::kElements + first_index(); i < n; i += index_stride())
    x[i] = from_float<T>(value);
}

// Eight elements a thread: two packs of float on one side, one of bf16 on the other.
constexpr int kCastElements = 8;

template <class T>
__device__ __forceinline__ void load_eight(const T* from, float (&value)[kCastElements]) {
  for (int first = 0; first < kCastElements; first += Pack<T>::kElements) {
    const Pack<T> pack = Pack<T>::load_once(from + first);
    for (int i = 0; i < Pack<T>::kElements; ++i) value[first + i] = pack.value[i];
  }
}

template <class T>
__device__ __forceinline__ void store_eight(T* to, const float (&value)[kCastElements]) {
  for (int first = 0; first < kCastElements; first += Pack<T>::kElements) {
    Pack<T> pack;
    for (int i = 0; i < Pack<T>::kElements; ++i) pack.value[i] = value[first + i];
    pack.store(to + first);
  }
}

template <class From, class To>
__global__ void __launch_bounds__(kThreads)
    cast_kernel(const From* __restrict__ from, To* __restrict__ to, std::int64_t packs, std::int64_t n) {
  for (std::int64_t i = first_index(); i < packs; i += index_stride()) {
    float value[kCastElements];
    load_eight(from + i * kCastElements, value);
    store_eight(to + i * kCastElements, value);
  }
  for (std::int64_t i = packs * kCastElements + first_index(); i < n; i += index_stride()) {
    to[i] = from_float<To>(to_float(from[i]));
  }
}

}  // namespace

template <class T>
void fill(T* x, float value, std::int64_t n, cudaStream_t stream) {
  if (n == 0) return;
  const std::int64_t packs = aligned_16(x) ? n / Pack<T>::kElements : 0;
  const std::int64_t single = n - packs * Pack<T>::kElements;
  launch(fill_kernel<T>, blocks_for(packs > single ? packs : single), kThreads, 0, stream, x, value, packs,
         n);
}

template <class From, class To>
void cast(const From* from, To* to, std::int64_t n, cudaStream_t stream) {
  if (n == 0) return;
  const std::int64_t packs = aligned_16(from) && aligned_16(to) ? n / kCastElements : 0;
  const std::int64_t single = n - packs * kCastElements;
  launch(cast_kernel<From, To>, blocks_for(packs > single ? packs : single), kThreads, 0, stream, from, to,
         packs, n);
}

template void fill(float*, float, std::int64_t, cudaStream_t);
template void fill(bf16*, float, std::int64_t, cudaStream_t);
template void cast(const float*, bf16*, std::int64_t, cudaStream_t);
template void cast(const bf16*, float*, std::int64_t, cudaStream_t);

}  // namespace headwater::kernels
