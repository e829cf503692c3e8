#pragma once
// 16 bytes at a time: Pack<T> is what one access moves, eight bf16 or four floats, as floats in registers.
// And sums over a warp or a block, always in the same order.

#include "ptx.cuh"

#include <cstdint>

namespace headwater::kernels {

using bf16 = __nv_bfloat16;

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) { return __bfloat162float(x); }
template <class T>
__device__ __forceinline__ T from_float(float x);
template <>
__device__ __forceinline__ float from_float<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ bf16 from_float<bf16>(float x) {
  return __float2bfloat16_rn(x);
}

template <class T>
struct Pack {
  static constexpr int kElements = 16 / static_cast<int>(sizeof(T));
  float value[kElements];

  __device__ __forceinline__ static Pack unpack(uint4 bits) {
    Pack p;
    if constexpr (kElements == 4) {
      p.value[0] = __uint_as_float(bits.x);
      p.value[1] = __uint_as_float(bits.y);
      p.value[2] = __uint_as_float(bits.z);
      p.value[3] = __uint_as_float(bits.w);
    } else {
      p.value[0] = ptx::low_bf16(bits.x), p.value[1] = ptx::high_bf16(bits.x);
      p.value[2] = ptx::low_bf16(bits.y), p.value[3] = ptx::high_bf16(bits.y);
      p.value[4] = ptx::low_bf16(bits.z), p.value[5] = ptx::high_bf16(bits.z);
      p.value[6] = ptx::low_bf16(bits.w), p.value[7] = ptx::high_bf16(bits.w);
    }
    return p;
  }
  __device__ __forceinline__ uint4 packed() const {
    if constexpr (kElements == 4) {
      return {__float_as_uint(value[0]), __float_as_uint(value[1]), __float_as_uint(value[2]),
              __float_as_uint(value[3])};
    } else {
      return {ptx::pack_bf16(value[0], value[1]), ptx::pack_bf16(value[2], value[3]),
              ptx::pack_bf16(value[4], value[5]), ptx::pack_bf16(value[6], value[7])};
    }
  }

  // `address` is 16-byte aligned.
  __device__ __forceinline__ static Pack load(const T* address) { return unpack(ptx::load_16(address)); }
  __device__ __forceinline__ static Pack load_once(const T* address) {
    return unpack(ptx::load_16_once(address));
  }
  __device__ __forceinline__ void store(T* address) const { ptx::store_16(address, packed()); }
  __device__ __forceinline__ void store_streaming(T* address) const {
    ptx::store_16_streaming(address, packed());
  }
};

// The sum, or maximum, over the 32 lanes; every lane gets it. Warp-wide.
__device__ __forceinline__ float warp_sum(float x) {
  for (int step = 16; step > 0; step /= 2) x += ptx::shuffle_xor(x, step);
  return x;
}
__device__ __forceinline__ float warp_max(float x) {
  for (int step = 16; step > 0; step /= 2) x = fmaxf(x, ptx::shuffle_xor(x, step));
  return x;
}

// The sum over a block of kThreads (a multiple of 32) threads in one dimension; every thread gets it, and all
// must call. `partial` has a float for each warp, and may be used again after the next barrier only.
template <int kThreads>
__device__ __forceinline__ float block_sum(float x, float (&partial)[kThreads / 32]) {
  x = warp_sum(x);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = x;
  __syncthreads();
  float sum = 0.0F;
  for (int warp = 0; warp < kThreads / 32; ++warp) sum += partial[warp];
  return sum;
}

}  // namespace headwater::kernels
