#include "convert.h"

#include "headwater/base/error.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

namespace headwater {
namespace {

// The tensor whose elements are read. Its name for messages is formatted only if one is needed.
struct Source {
  const StoredTensor& tensor;
  const Path& file;
  std::string name() const { return fmt::format("tensor {} in {}", tensor.name, file.string()); }
};

struct half {
  std::uint16_t bits;
};

float number(bf16 value) { return static_cast<float>(value); }
float number(half value) { return half_to_float(value.bits); }
template <class T>
T number(T value) {
  return value;
}

template <class In>
In load(std::span<const std::byte> bytes, std::int64_t element) {
  In value;
  std::memcpy(&value, bytes.data() + element * static_cast<std::int64_t>(sizeof(In)), sizeof(In));
  return value;
}

template <class In, class Out>
void to_numbers(std::span<const std::byte> bytes, TensorView out) {
  Out* values = out.as<Out>();
  for (std::int64_t i = 0; i < out.elements(); ++i) {
    if constexpr (std::is_same_v<Out, bf16>)
      values[i] = bf16(static_cast<float>(number(load<In>(bytes, i))));
    else
      values[i] = static_cast<Out>(number(load<In>(bytes, i)));
  }
}

template <class In>
void to_whole_numbers(std::span<const std::byte> bytes, TensorView out, const Source& source) {
  std::int32_t* values = out.as<std::int32_t>();
  for (std::int64_t i = 0; i < out.elements(); ++i) {
    const In value = load<In>(bytes, i);
    if (!std::in_range<std::int32_t>(value))
      throw UserError("{} holds the number {}; it must fit 32 bits with a sign", source.name(), value);
    values[i] = static_cast<std::int32_t>(value);
  }
}

template <class In>
void convert(std::span<const std::byte> bytes, TensorView out, const Source& source) {
  switch (out.dtype) {
    case DType::f32: return to_numbers<In, float>(bytes, out);
    case DType::f64: return to_numbers<In, double>(bytes, out);
    case DType::bf16: return to_numbers<In, bf16>(bytes, out);
    case DType::i32: break;
  }
  if constexpr (std::is_integral_v<In>)
    to_whole_numbers<In>(bytes, out, source);
  else
    throw UserError("{} is {}; it must hold whole numbers, such as I32", source.name(),
                    name_of(source.tensor.type));
}

}  // namespace

float half_to_float(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 0x1F, mantissa = bits & 0x3FF;
  float magnitude = 0.0F;
  if (exponent == 0x1F)
    magnitude =
        mantissa == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
  else if (exponent == 0)
    magnitude = std::ldexp(static_cast<float>(mantissa), -24);
  else
    magnitude = std::ldexp(static_cast<float>(mantissa | 0x400), exponent - 25);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

void convert_elements(const StoredTensor& tensor, const Path& file, std::span<const std::byte> bytes,
                      TensorView out) {
  if (out.elements() == 0) return;
  if (tensor.type == stored_type(out.dtype)) {
    std::memcpy(out.data, bytes.data(), out.bytes());
    return;
  }
  const Source source{tensor, file};
  switch (tensor.type) {
    case StoredType::f64: return convert<double>(bytes, out, source);
    case StoredType::f32: return convert<float>(bytes, out, source);
    case StoredType::f16: return convert<half>(bytes, out, source);
    case StoredType::bf16: return convert<bf16>(bytes, out, source);
    case StoredType::i64: return convert<std::int64_t>(bytes, out, source);
    case StoredType::i32: return convert<std::int32_t>(bytes, out, source);
    case StoredType::i16: return convert<std::int16_t>(bytes, out, source);
    case StoredType::i8: return convert<std::int8_t>(bytes, out, source);
    case StoredType::u64: return convert<std::uint64_t>(bytes, out, source);
    case StoredType::u32: return convert<std::uint32_t>(bytes, out, source);
    case StoredType::u16: return convert<std::uint16_t>(bytes, out, source);
    case StoredType::u8: return convert<std::uint8_t>(bytes, out, source);
    case StoredType::boolean:
    case StoredType::f8_e4m3:
    case StoredType::f8_e5m2: break;
  }
  throw UserError("{} is {}; that cannot be read as numbers yet", source.name(), name_of(tensor.type));
}

}  // namespace headwater
