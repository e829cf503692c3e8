// Conversions, and the functions that the GPU approximates.

#include "instructions.h"
#include "ptx.cuh"
#include "run.h"

#include <cmath>
#include <limits>

namespace headwater::conformance {
namespace {

// Both signs, ties, subnormals, values on both sides of a power of two, infinity.
std::vector<float> awkward() {
  std::vector<float> values = {0.0F,
                               -0.0F,
                               1.0F,
                               -1.0F,
                               1.00390625F,
                               1.01171875F,
                               1.0009765625F,
                               1.00048828125F,
                               1.99999988F,
                               -65504.0F,
                               3.0e38F,
                               1e-40F,
                               6.0e-8F,
                               std::numeric_limits<float>::infinity(),
                               -std::numeric_limits<float>::infinity(),
                               0.1F};
  for (const std::uint32_t word : random_words(48, 12)) {
    values.push_back(std::bit_cast<float>((word & 0x807fffffU) | (100U + word % 50U) << 23U));
  }
  return values;  // 64
}

// x to the nearest value of `mantissa` bits and an exponent of at least `least`, ties to even or away from
// zero.
double nearest(double x, int mantissa, int least, bool ties_away) {
  if (x == 0.0 || std::isinf(x)) return x;
  const int exponent = std::max(std::ilogb(x), least);
  const double unit = std::ldexp(1.0, exponent - mantissa), steps = std::abs(x) / unit,
               below = std::floor(steps);
  const double rest = steps - below;
  const bool up = rest > 0.5 || (rest == 0.5 && (ties_away || std::fmod(below, 2.0) != 0.0));
  return std::copysign((below + (up ? 1.0 : 0.0)) * unit, x);
}

// The bits of a value that is exact in a type of a sign, `exponent` and `mantissa` bits.
std::uint32_t bits_of(double x, int exponent, int mantissa) {
  const int bias = (1 << (exponent - 1)) - 1;
  const std::uint32_t sign = std::signbit(x) ? 1U : 0U, top = sign << (exponent + mantissa);
  const double size = std::abs(x), largest = std::ldexp(2.0 - std::ldexp(1.0, -mantissa), bias);
  if (size > largest) return top | ((1U << exponent) - 1U) << mantissa;  // infinity
  if (size < std::ldexp(1.0, 1 - bias))
    return top | static_cast<std::uint32_t>(std::ldexp(size, bias - 1 + mantissa));
  const int e = std::ilogb(size);
  return top | (static_cast<std::uint32_t>(std::ldexp(size, mantissa - e)) - (1U << mantissa)) |
         static_cast<std::uint32_t>(e + bias) << mantissa;
}

__global__ void convert(const float* in, std::uint32_t* out) {
  const int i = static_cast<int>(threadIdx.x);
  out[i * 4 + 0] = ptx::pack_bf16(in[i], in[63 - i]);
  out[i * 4 + 1] = ptx::pack_f16(in[i], in[63 - i]);
  out[i * 4 + 2] = ptx::to_tf32(in[i]);
  out[i * 4 + 3] = __float_as_uint(ptx::high_bf16(ptx::pack_bf16(in[63 - i], in[i])));
}

Outcome converted() {
  const std::vector<float> in = awkward();
  Outcome outcome{"conversions", false, words_of(256, 64, convert, OnDevice<float>(in)), {}, 0.0};
  const auto bf16 = [&](std::size_t i) { return bits_of(nearest(in[i], 7, -126, false), 8, 7); };
  const auto f16 = [&](std::size_t i) { return bits_of(nearest(in[i], 10, -14, false), 5, 10); };
  for (std::size_t i = 0; i < 64; ++i) {
    outcome.meaning.push_back(bf16(i) | bf16(63 - i) << 16U);
    outcome.meaning.push_back(f16(i) | f16(63 - i) << 16U);
    outcome.meaning.push_back(bits_of(nearest(in[i], 10, -126, true), 8, 10) << 13U);
    outcome.meaning.push_back(bf16(i) << 16U);
  }
  return outcome;
}

__global__ void power(const float* in, std::uint32_t* out) {
  out[threadIdx.x] = __float_as_uint(ptx::exp2(in[threadIdx.x]));
}

Outcome powers() {
  std::vector<float> in = random_floats(61, 13);
  in.insert(in.end(), {-std::numeric_limits<float>::infinity(), -127.5F, -149.0F});
  Outcome outcome{"ex2.approx.ftz", true, words_of(64, 64, power, OnDevice<float>(in)), {}, 1e-6};
  for (const float x : in) outcome.meaning.push_back(x < -126.0F ? 0.0 : std::exp2(static_cast<double>(x)));
  return outcome;
}

}  // namespace

std::vector<Outcome> conversion_outcomes() { return {converted(), powers()}; }

}  // namespace headwater::conformance
