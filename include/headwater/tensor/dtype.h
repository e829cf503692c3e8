#pragma once
// The element types of tensors, and the conversion to bf16 that all code shares.
//
// f64 exists for accumulators and for the reference op catalogue of the tests; i32 exists for tokens,
// positions and borders of documents.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace headwater {

enum class DType : std::uint8_t { f32, bf16, f64, i32 };

constexpr std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return 4;
    case DType::bf16: return 2;
    case DType::f64: return 8;
    case DType::i32: return 4;
  }
  return 0;
}

std::string_view name_of(DType dtype);  // "f32", "bf16", "f64", "i32"

// The upper half of a float. It has no arithmetic: code computes in float.
struct bf16 {
  std::uint16_t bits = 0;

  bf16() = default;
  // Rounds to nearest, ties to even; a NaN stays a NaN.
  explicit bf16(float value) {
    const std::uint32_t u = std::bit_cast<std::uint32_t>(value);
    if ((u & 0x7FFFFFFFU) > 0x7F800000U)
      bits = static_cast<std::uint16_t>((u >> 16) | 0x0040U);
    else
      bits = static_cast<std::uint16_t>((u + 0x7FFFU + ((u >> 16) & 1U)) >> 16);
  }
  explicit operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }
};

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>)
    return DType::f32;
  else if constexpr (std::is_same_v<T, bf16>)
    return DType::bf16;
  else if constexpr (std::is_same_v<T, double>)
    return DType::f64;
  else {
    static_assert(std::is_same_v<T, std::int32_t>, "not an element type");
    return DType::i32;
  }
}

}  // namespace headwater
