#pragma once
// The GPUs of this host.

#include "headwater/tensor/device.h"

#include <cstdint>
#include <string>

namespace headwater::cuda {

// How many the driver shows this process; 0 without a driver.
int device_count();
// Makes `device` the calling thread's: every CUDA call of the thread goes there from now on.
void use(Device device);

struct DeviceDescription {
  std::string name;          // "NVIDIA H100 80GB HBM3"
  std::string bus_id;        // "0000:1b:00.0": which of the host's it is, whatever CUDA_VISIBLE_DEVICES says
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
  double hertz = 0.0;  // the highest clock, which a load need not reach
};
DeviceDescription describe(Device device);

std::int64_t free_memory(Device device);  // bytes

// That for the rank that is number `local_rank` on its host. A launcher may show each rank all GPUs of the
// host, or only the one that is meant for it. SystemError where it shows none.
Device device_of_rank(int local_rank);

}  // namespace headwater::cuda
