#pragma once
// What the files behind the runtime's calls share: codes of errors. A fault in a kernel makes every later
// call fail, as on a GPU, until take_fault().

#include "cuda_runtime_api.h"
#include "fault.h"

namespace emulation {

cudaError_t failed(cudaError_t error);  // noted for cudaGetLastError
inline cudaError_t done() { return faulty() ? failed(cudaErrorLaunchFailure) : cudaSuccess; }
int current_device();

inline constexpr int kMultiprocessors = 108;  // of every device

}  // namespace emulation
