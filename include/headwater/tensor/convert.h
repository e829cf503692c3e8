#pragma once
// Conversion between element types on the host.

#include "headwater/tensor/tensor_view.h"

namespace headwater {

// Converts all elements of `from` to the type of `to`, rounding to nearest. Both must be dense tensors of
// f32, bf16 or f64 on the host, with the same number of elements.
void convert(TensorView from, TensorView to);

}  // namespace headwater
