#pragma once
// Numbers as they lie in a safetensors file, at any alignment, to the element types that Headwater computes
// with. Private to this room; pure.

#include "headwater/checkpoint/safetensors.h"

namespace headwater {

float half_to_float(std::uint16_t bits);

// Fills the dense host tensor `out` from `bytes`, as many elements of `tensor`'s in `file`. UserError, naming
// the two, for types that cannot be converted and whole numbers that do not fit i32.
void convert_elements(const StoredTensor& tensor, const Path& file, std::span<const std::byte> bytes,
                      TensorView out);

}  // namespace headwater
