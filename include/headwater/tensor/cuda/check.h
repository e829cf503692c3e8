#pragma once
// Calls of CUDA that throw. SystemError (exit 3) where the system refuses: no driver, no device, no memory.
// Everything else is an InternalError that names the call, where in the code it stands, CUDA's own words, and
// `where`: the rank and the stream, "rank 3, cuda:1, compute". CUDA reports a kernel's fault at some later
// call.

#include <cuda_runtime_api.h>

#include <string_view>

namespace headwater::cuda {

void check(cudaError_t error, std::string_view where, const char* call, const char* file, int line);
void log_failed(cudaError_t error, std::string_view where, const char* call) noexcept;

#define HW_CUDA(where, call) ::headwater::cuda::check((call), (where), #call, __FILE__, __LINE__)
// For destructors: logs instead of throwing.
#define HW_CUDA_LOG(where, call) ::headwater::cuda::log_failed((call), (where), #call)

}  // namespace headwater::cuda
