#pragma once
// __half: IEEE binary16, rounded to nearest even by the compiler's own type.

#include "emulation/device.h"

#include <bit>
#include <cstdint>

struct __half;
__half __float2half_rn(float x);
float __half2float(__half x);

struct __half {
  std::uint16_t bits;
  __half() = default;
  __half(float x) : bits(__float2half_rn(x).bits) {}
  operator float() const { return __half2float(*this); }
};

struct alignas(4) __half2 {
  __half x, y;
};

inline __half __ushort_as_half(unsigned short bits) {
  __half result;
  result.bits = bits;
  return result;
}
inline unsigned short __half_as_ushort(__half x) { return x.bits; }
inline __half __float2half_rn(float x) {
  return __ushort_as_half(std::bit_cast<std::uint16_t>(static_cast<_Float16>(x)));
}
inline __half __float2half(float x) { return __float2half_rn(x); }
inline float __half2float(__half x) { return static_cast<float>(std::bit_cast<_Float16>(x.bits)); }
