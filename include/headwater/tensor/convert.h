#pragma once
// Conversion between element types on the host.

#include "headwater/tensor/tensor_view.h"

namespace headwater {

// Dense tensors of equally many elements; f32, bf16 and f64, rounding to nearest.
void convert(TensorView from, TensorView to);

}  // namespace headwater
