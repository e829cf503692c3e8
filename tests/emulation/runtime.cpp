// The runtime's calls. Memory of the device is memory of the host, filled with 0xFF: a NaN in every floating type.

#include "cuda_runtime_api.h"

#include "block.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace emulation {

class Stream {};
class Event {};

namespace {

thread_local cudaError_t last_error = cudaSuccess;
cudaError_t failed(cudaError_t error) { return last_error = error; }
cudaError_t done() { return faulty() ? failed(cudaErrorLaunchFailure) : cudaSuccess; }

bool launchable(const LaunchShape& shape) {
  const auto within = [](const dim3& d, unsigned x, unsigned yz) {
    return d.x > 0 && d.y > 0 && d.z > 0 && d.x <= x && d.y <= yz && d.z <= yz;
  };
  return within(shape.grid, 0x7fffffffU, 65535) && within(shape.block, kMaxThreads, kMaxThreads) &&
         shape.block.z <= 64 && shape.block.x * shape.block.y * shape.block.z <= kMaxThreads &&
         shape.shared_bytes <= kMaxSharedBytes;
}

void run_grid(const LaunchShape& shape, const std::function<void()>& thread) {
  const Settings& how = settings();
  const std::uint64_t plane = static_cast<std::uint64_t>(shape.grid.x) * shape.grid.y, blocks = plane * shape.grid.z;
  std::atomic<std::uint64_t> next{0};
  std::atomic<bool> broken{false};
  const auto work = [&] {
    thread_local Block block;
    for (std::uint64_t number = next++; number < blocks && !broken; number = next++) {
      const uint3 index{static_cast<unsigned>(number % shape.grid.x), static_cast<unsigned>(number / shape.grid.x % shape.grid.y),
                        static_cast<unsigned>(number / plane)};
      if (!block.run(shape, thread, index, how)) broken = true;
    }
  };
  const auto helpers = how.check ? 0 : std::min<std::uint64_t>(static_cast<std::uint64_t>(how.threads), blocks) - 1;
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < helpers; ++i) threads.emplace_back(work);
  work();
  for (std::thread& helper : threads) helper.join();
}

}  // namespace

void launch(const LaunchShape& shape, cudaStream_t /*stream*/, std::function<void()> thread) {
  if (faulty()) return;
  if (!launchable(shape)) {
    failed(cudaErrorInvalidConfiguration);
    return;
  }
  run_grid(shape, thread);
}

}  // namespace emulation

using emulation::done;
using emulation::failed;

cudaError_t cudaGetLastError() {
  const cudaError_t error = emulation::last_error;
  emulation::last_error = cudaSuccess;
  return error != cudaSuccess ? error : (emulation::faulty() ? cudaErrorLaunchFailure : cudaSuccess);
}

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (*memory == nullptr) return failed(cudaErrorMemoryAllocation);
  std::memset(*memory, 0xff, bytes);
  return done();
}
cudaError_t cudaFree(void* memory) {
  std::free(memory);
  return done();
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t) {
  if (bytes > 0) std::memcpy(to, from, bytes);
  return done();
}
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  return cudaMemcpyAsync(to, from, bytes, kind, nullptr);
}
cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t) {
  if (bytes > 0) std::memset(memory, value, bytes);
  return done();
}
cudaError_t cudaDeviceSynchronize() { return done(); }
cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return done();
}
const char* cudaGetErrorString(cudaError_t error) { return error == cudaSuccess ? "no error" : "an error"; }
