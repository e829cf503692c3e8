#pragma once
// Converts the numbers of a safetensors file, at any alignment, to the element types that Headwater computes
// with.

#include "headwater/checkpoint/safetensors.h"

namespace headwater {

// `bits` is an IEEE half-precision number.
float half_to_float(std::uint16_t bits);

// Fills the dense host tensor `out` from `bytes`, which are as many elements of type `tensor.type`. Throws
// UserError, which names `tensor` and `file`, for types that cannot be converted and whole numbers that do
// not fit i32.
void convert_elements(const StoredTensor& tensor, const Path& file, std::span<const std::byte> bytes,
                      TensorView out);

}  // namespace headwater
