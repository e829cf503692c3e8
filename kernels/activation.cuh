#pragma once
// The activations of an MLP and their derivatives, on one value.

#include "ptx.cuh"

namespace headwater::kernels {

constexpr float kLog2E = 1.4426950408889634F;

// e^x; 0 where that would be subnormal.
__device__ __forceinline__ float exp_of(float x) { return ptx::exp2(x * kLog2E); }

__device__ __forceinline__ float sigmoid(float x) { return __fdividef(1.0F, 1.0F + exp_of(-x)); }

struct Relu {
  static __device__ __forceinline__ float value(float x) { return x < 0.0F ? 0.0F : x; }  // NaN stays NaN
  static __device__ __forceinline__ float slope(float x) { return x > 0.0F ? 1.0F : 0.0F; }
};

// x · Φ(x) (Hendrycks & Gimpel 2016).
struct GeluErf {
  static __device__ __forceinline__ float phi(float x) { return 0.5F * (1.0F + erff(x * 0.70710678F)); }
  static __device__ __forceinline__ float value(float x) { return x * phi(x); }
  static __device__ __forceinline__ float slope(float x) {
    return phi(x) + x * 0.39894228F * exp_of(-0.5F * x * x);
  }
};

// Their approximation: 0.5 x (1 + tanh u) = x · sigmoid(2u), u = √(2/π) (x + 0.044715 x³).
struct GeluTanh {
  static __device__ __forceinline__ float gate(float x) {
    return sigmoid(1.5957691F * x * (1.0F + 0.044715F * x * x));
  }
  static __device__ __forceinline__ float value(float x) { return x * gate(x); }
  static __device__ __forceinline__ float slope(float x) {
    const float s = gate(x);
    return s + x * s * (1.0F - s) * 1.5957691F * (1.0F + 0.134145F * x * x);
  }
};

}  // namespace headwater::kernels
