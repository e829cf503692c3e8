#pragma once
// Sums in f64, for what is small beside its terms: the loss, the norm of all gradients.

#include "launch.cuh"

namespace headwater::kernels {

// The sum over a block of kThreads (a power of two), in a tree of fixed shape; thread 0 gets it, and all must
// call, once.
template <int kThreads>
__device__ __forceinline__ double block_sum_of_doubles(double x) {
  SHARED_ARRAY(double, sums, [kThreads]);
  sums[threadIdx.x] = x;
  for (unsigned half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
  }
  return sums[0];
}

}  // namespace headwater::kernels
