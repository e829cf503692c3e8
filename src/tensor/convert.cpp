#include "headwater/tensor/convert.h"

#include <cstring>

namespace headwater {
namespace {

double load(bf16 value) { return static_cast<double>(static_cast<float>(value)); }
double load(float value) { return static_cast<double>(value); }
double load(double value) { return value; }
void store(double value, bf16& out) { out = bf16(static_cast<float>(value)); }
void store(double value, float& out) { out = static_cast<float>(value); }
void store(double value, double& out) { out = value; }

template <class From, class To>
void convert_elements(TensorView from, TensorView to) {
  const From* in = from.as<From>();
  To* out = to.as<To>();
  for (std::int64_t i = 0; i < from.elements(); ++i) store(load(in[i]), out[i]);
}

template <class From>
void convert_from(TensorView from, TensorView to) {
  switch (to.dtype) {
    case DType::f32: return convert_elements<From, float>(from, to);
    case DType::bf16: return convert_elements<From, bf16>(from, to);
    case DType::f64: return convert_elements<From, double>(from, to);
    case DType::i32: break;
  }
  HW_CHECK(false, "no conversion to {}", name_of(to.dtype));
}

}  // namespace

void convert(TensorView from, TensorView to) {
  HW_CHECK(from.elements() == to.elements() && from.dense() && to.dense(), "conversion of {} to {}",
           to_string(from.shape), to_string(to.shape));
  if (from.dtype == to.dtype) {
    if (from.bytes() > 0) std::memcpy(to.data, from.data, from.bytes());
    return;
  }
  switch (from.dtype) {
    case DType::f32: return convert_from<float>(from, to);
    case DType::bf16: return convert_from<bf16>(from, to);
    case DType::f64: return convert_from<double>(from, to);
    case DType::i32: break;
  }
  HW_CHECK(false, "no conversion from {}", name_of(from.dtype));
}

}  // namespace headwater
