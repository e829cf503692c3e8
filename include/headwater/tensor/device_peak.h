#pragma once
// What the dense products of a device reach at best: MFU is a share of it.

#include "headwater/tensor/cuda/devices.h"
#include "headwater/tensor/dtype.h"

#include <optional>
#include <string>

namespace headwater {

struct DevicePeak {
  std::optional<double> flops;  // FLOP/s; none where no peak is known
  std::string source;           // for people: where the figure comes from, or of what none is known
};

// Of bf16 by the GPU's tensor cores with sums in f32, of f32 by its other units. What NVIDIA's data sheet
// states, where it is known here; that rests on the clock that the maker warrants, and is what others print
// MFU by. Of a GPU of another name, or a part of one, what its multiprocessors do at the highest clock, where
// that is known of its compute capability.
DevicePeak peak_of_gpu(const cuda::DeviceDescription& gpu, DType dtype);

}  // namespace headwater
