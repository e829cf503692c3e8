#pragma once
// The launch of a kernel: what launch.cuh hands over, queued on a stream.

#include "cuda_runtime_api.h"
#include "vector_types.h"

#include <cstddef>
#include <functional>

namespace emulation {

struct LaunchShape {
  const void* kernel = nullptr;  // for reports
  dim3 grid, block;
  std::size_t shared_bytes = 0;
};

// `thread` is called once for each thread of the grid, on a fiber.
void launch(const LaunchShape& shape, cudaStream_t stream, std::function<void()> thread);

}  // namespace emulation
