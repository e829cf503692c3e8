#pragma once
// The peak rate of a GPU's dense matrix products, of which MFU is the fraction that a run reaches.

#include "headwater/tensor/cuda/devices.h"
#include "headwater/tensor/dtype.h"

#include <optional>
#include <string>

namespace headwater {

struct DevicePeak {
  std::optional<double> flops;  // FLOP/s; empty if no peak is known
  std::string source;           // for people: where the figure comes from, or which figure is not known
};

// Returns the peak in `dtype`: for bf16 that of the tensor cores, with sums in f32, and for f32 that of the
// other units.
//
// For a GPU in the table of data sheets it is NVIDIA's figure, which assumes the clock that NVIDIA
// guarantees; others print MFU relative to the same figure. For another GPU, or a part of one, it is what
// its multiprocessors do at the highest clock, if that is known for its compute capability.
DevicePeak peak_of_gpu(const cuda::DeviceDescription& gpu, DType dtype);

}  // namespace headwater
