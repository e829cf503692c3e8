#include "headwater/tensor/cuda/check.h"

#include "headwater/base/error.h"
#include "headwater/base/log.h"

namespace headwater::cuda {

void check(cudaError_t error, std::string_view where, const char* call, const char* file, int line) {
  if (error == cudaSuccess) [[likely]]
    return;
  cudaGetLastError();  // clears the error, so that it is not taken for a later call's
  switch (error) {
    case cudaErrorNoDevice:
    case cudaErrorInsufficientDriver:
    case cudaErrorInvalidDevice:
    case cudaErrorMemoryAllocation:
      throw SystemError("{}: {} failed: {}", where, call, cudaGetErrorString(error));
    default:
      throw InternalError("{}:{}: {}: {} failed: {} ({})", file, line, where, call, cudaGetErrorString(error),
                          cudaGetErrorName(error));
  }
}

void log_failed(cudaError_t error, std::string_view where, const char* call) noexcept {
  if (error != cudaSuccess) log::error("{}: {} failed: {}", where, call, cudaGetErrorString(error));
}

}  // namespace headwater::cuda
