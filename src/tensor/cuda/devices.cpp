#include "headwater/tensor/cuda/devices.h"

#include "headwater/base/error.h"
#include "headwater/tensor/cuda/check.h"

namespace headwater::cuda {

int device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();
  return 0;
}

void use(Device device) {
  HW_CHECK(device.kind == Device::Kind::cuda, "{} is no GPU", name_of(device));
  HW_CUDA(name_of(device), cudaSetDevice(device.index));
}

DeviceDescription describe(Device device) {
  cudaDeviceProp properties;
  HW_CUDA(name_of(device), cudaGetDeviceProperties(&properties, device.index));
  int kilohertz = 0;
  HW_CUDA(name_of(device), cudaDeviceGetAttribute(&kilohertz, cudaDevAttrClockRate, device.index));
  char bus_id[32] = "";
  HW_CUDA(name_of(device), cudaDeviceGetPCIBusId(bus_id, sizeof bus_id, device.index));
  return {properties.name, bus_id, properties.major, properties.minor, properties.multiProcessorCount,
          1e3 * kilohertz};
}

std::int64_t free_memory(Device device) {
  use(device);
  std::size_t free = 0, total = 0;
  HW_CUDA(name_of(device), cudaMemGetInfo(&free, &total));
  return static_cast<std::int64_t>(free);
}

Device device_of_rank(int local_rank) {
  int count = 0;
  if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess || count == 0) {
    cudaGetLastError();
    throw SystemError("training.device is \"cuda\", but this host shows no GPU: {}",
                      error != cudaSuccess ? cudaGetErrorString(error) : "none is visible");
  }
  return {Device::Kind::cuda, local_rank % count};
}

}  // namespace headwater::cuda
