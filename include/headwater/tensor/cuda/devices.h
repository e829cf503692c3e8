#pragma once
// The GPUs of this host.

#include "headwater/tensor/device.h"

#include <cstdint>
#include <string>

namespace headwater::cuda {

// The number of GPUs that the driver shows this process; 0 without a driver.
int device_count();
// Makes `device` the current device of the calling thread: all its CUDA calls go there from now on.
void use(Device device);

struct DeviceDescription {
  std::string name;          // "NVIDIA H100 80GB HBM3"
  std::string bus_id;        // "0000:1b:00.0": identifies the GPU, whatever CUDA_VISIBLE_DEVICES says
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
  double hertz = 0.0;  // the highest clock, which a GPU under load may not reach
};
DeviceDescription describe(Device device);

std::int64_t free_memory(Device device);  // bytes

// Returns the device for rank number `local_rank` of this host. It works whether the launcher shows each
// rank all GPUs of the host or only the rank's own. Throws SystemError if no GPU is visible.
Device device_of_rank(int local_rank);

}  // namespace headwater::cuda
