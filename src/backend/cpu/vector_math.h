#pragma once
// Functions that g++ and clang vectorise when they are called in a loop.

#include "headwater/tensor/dtype.h"

#include <bit>
#include <cstdint>

namespace headwater::cpu {

// e^x for x ≤ 0 (and for the little above 0 that rounding gives), within 2 units in the last place; 0 below
// −87.3, where the result would be subnormal. NaN stays NaN. x = n ln 2 + r with |r| ≤ ln 2 / 2, ln 2 in two
// parts so that r is exact enough (Cody & Waite); e^r = 1 + r + r²·q(r), q of degree 4 with the least
// relative error on that interval (Remez).
inline float exp_nonpositive(float x) {
  const float shifted = x * 1.44269504F + 12582912.0F;  // 1.5 · 2^23: n stands in the low bits of the sum
  const float n = shifted - 12582912.0F;
  const float r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  float q = 1.3814540087e-3F;
  q = q * r + 8.3687451075e-3F;
  q = q * r + 4.1668390785e-2F;
  q = q * r + 1.6666520399e-1F;
  q = q * r + 4.9999993432e-1F;
  const float p = (q * r) * r + r + 1.0F;
  const float power = std::bit_cast<float>((std::bit_cast<std::uint32_t>(shifted) + 127U) << 23);
  return x < -87.3F ? 0.0F : p * power;
}

// 1 / (1 + e^−x).
inline float sigmoid(float x) {
  const float e = exp_nonpositive(x < 0.0F ? x : -x);
  return (x < 0.0F ? e : 1.0F) / (1.0F + e);
}

// Φ(x), the share of a normal distribution below x: erfc(−x/√2) / 2. With z = |x|/√2 and t = 1/(1 + z/2),
// erfc(z) = t·e^(−z² + p(t)), p of degree 9 with a relative error below 1.2e-7 for all z (Numerical Recipes,
// 2nd edition, 6.2).
inline float normal_cdf(float x) {
  const float z = 0.70710678F * (x < 0.0F ? -x : x), t = 1.0F / (1.0F + 0.5F * z);
  float p = 0.17087277F;
  p = p * t - 0.82215223F;
  p = p * t + 1.48851587F;
  p = p * t - 1.13520398F;
  p = p * t + 0.27886807F;
  p = p * t - 0.18628806F;
  p = p * t + 0.09678418F;
  p = p * t + 0.37409196F;
  p = p * t + 1.00002368F;
  p = p * t - 1.26551223F;
  const float tail = 0.5F * t * exp_nonpositive(p - z * z);
  return x < 0.0F ? tail : 1.0F - tail;
}

// *to = x, rounded. In a loop under `omp simd` g++ would keep the temporary of a plain assignment in memory,
// and not vectorise it.
inline void store(float x, float* to) { *to = x; }
inline void store(float x, bf16* to) { to->bits = bf16(x).bits; }

}  // namespace headwater::cpu
