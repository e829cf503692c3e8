#pragma once
// The launch of a kernel: what launch.cuh hands over, queued on a stream.

#include "cuda_runtime_api.h"
#include "vector_types.h"

#include <cstddef>
#include <memory>
#include <utility>

namespace emulation {

struct Launch {
  const void* kernel = nullptr;  // for reports
  dim3 grid, block;
  std::size_t shared_bytes = 0;
  // Each thread of the grid calls this on a fiber. The arguments are the one thing of the host that device
  // code may read.
  void (*call)(const void* arguments) = nullptr;
  std::shared_ptr<const void> arguments = nullptr;
  std::size_t argument_bytes = 0;
  bool shared_granted =
      false;  // cudaFuncSetAttribute has asked for shared memory beyond what a kernel has unasked
};

void queue_launch(const Launch& launch, cudaStream_t stream);

template <class Thread>
void launch(Launch shape, cudaStream_t stream, Thread thread) {
  shape.call = [](const void* arguments) { (*static_cast<const Thread*>(arguments))(); };
  shape.arguments = std::make_shared<const Thread>(std::move(thread));
  shape.argument_bytes = sizeof(Thread);
  queue_launch(shape, stream);
}

}  // namespace emulation
