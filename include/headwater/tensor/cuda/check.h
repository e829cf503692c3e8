#pragma once
// Calls of CUDA that throw if they fail: SystemError if the driver, the device or the memory is missing, and
// InternalError for everything else.
//
// The message has the call, CUDA's own words and `where`, which names the rank and the stream ("rank 3,
// cuda:1, compute"). An InternalError also has file and line; the fault may be an earlier kernel's, which
// CUDA reports at some later call.

#include <cuda_runtime_api.h>

#include <string_view>

namespace headwater::cuda {

void check(cudaError_t error, std::string_view where, const char* call, const char* file, int line);
void log_failed(cudaError_t error, std::string_view where, const char* call) noexcept;

#define HW_CUDA(where, call) ::headwater::cuda::check((call), (where), #call, __FILE__, __LINE__)
// For destructors: logs instead of throwing.
#define HW_CUDA_LOG(where, call) ::headwater::cuda::log_failed((call), (where), #call)

}  // namespace headwater::cuda
