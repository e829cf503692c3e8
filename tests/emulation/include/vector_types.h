#pragma once
// CUDA's vector types, with CUDA's alignment: a misaligned float4 is as wrong here as there.

struct dim3;

#define EMULATION_VECTOR(scalar, name, bytes)                                       \
  struct alignas(2 * bytes) name##2 {                                               \
    scalar x, y;                                                                    \
  };                                                                                \
  struct name##3 {                                                                  \
    scalar x, y, z;                                                                 \
  };                                                                                \
  struct alignas(4 * bytes <= 16 ? 4 * bytes : 16) name##4 {                        \
    scalar x, y, z, w;                                                              \
  };                                                                                \
  inline name##2 make_##name##2(scalar x, scalar y) { return {x, y}; }              \
  inline name##3 make_##name##3(scalar x, scalar y, scalar z) { return {x, y, z}; } \
  inline name##4 make_##name##4(scalar x, scalar y, scalar z, scalar w) { return {x, y, z, w}; }

EMULATION_VECTOR(signed char, char, 1)
EMULATION_VECTOR(unsigned char, uchar, 1)
EMULATION_VECTOR(short, short, 2)
EMULATION_VECTOR(unsigned short, ushort, 2)
EMULATION_VECTOR(int, int, 4)
EMULATION_VECTOR(unsigned int, uint, 4)
EMULATION_VECTOR(float, float, 4)
EMULATION_VECTOR(long long, longlong, 8)
EMULATION_VECTOR(unsigned long long, ulonglong, 8)
EMULATION_VECTOR(double, double, 8)
#undef EMULATION_VECTOR

struct dim3 {
  unsigned int x, y, z;
  constexpr dim3(unsigned int vx = 1, unsigned int vy = 1, unsigned int vz = 1) : x(vx), y(vy), z(vz) {}
  constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
};
