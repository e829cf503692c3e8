#include "headwater/tensor/cuda/memory.h"

#include "headwater/base/error.h"
#include "headwater/tensor/cuda/check.h"
#include "headwater/tensor/cuda/devices.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace headwater::cuda {

DeviceMemory allocate(Device device, std::int64_t bytes, std::string_view purpose) {
  use(device);
  const std::string where = name_of(device);
  const auto size = static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1));
  void* memory = nullptr;
  if (const cudaError_t error = cudaMalloc(&memory, size); error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    std::size_t free = 0, total = 0;
    HW_CUDA(where, cudaMemGetInfo(&free, &total));
    throw SystemError("out of memory: {} refused {} bytes for {}; {} of its {} are free", where, bytes, purpose, free, total);
  } else {
    check(error, where, "cudaMalloc", __FILE__, __LINE__);
  }
  DeviceMemory owned(static_cast<std::byte*>(memory), [where](std::byte* p) { HW_CUDA_LOG(where, cudaFree(p)); });
  HW_CUDA(where, cudaMemset(memory, 0, size));
  HW_CUDA(where, cudaDeviceSynchronize());  // before streams that do not wait for the one that filled it
  return owned;
}

void copy_within(Device device, const void* from, void* to, std::size_t bytes) {
  use(device);
  HW_CUDA(name_of(device), cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToDevice));
  HW_CUDA(name_of(device), cudaDeviceSynchronize());  // such a copy may return before it is made
}

Staging::Staging(Stream& stream, std::size_t slot_bytes, int slots)
    : stream_(stream), slot_bytes_(slot_bytes), slots_(static_cast<std::size_t>(slots)) {
  void* memory = nullptr;
  HW_CUDA(stream_.name(), cudaHostAlloc(&memory, slot_bytes_ * slots_.size(), cudaHostAllocDefault));
  pinned_ = static_cast<std::byte*>(memory);
  for (std::size_t i = 0; i < slots_.size(); ++i) slots_[i].memory = pinned_ + i * slot_bytes_;
}

Staging::~Staging() {
  HW_CUDA_LOG(stream_.name(), cudaStreamSynchronize(stream_.get()));
  HW_CUDA_LOG(stream_.name(), cudaFreeHost(pinned_));
}

void Staging::to_device(std::span<const std::byte> host, void* device) {
  auto* to = static_cast<std::byte*>(device);
  while (!host.empty()) {
    Slot& slot = slots_[next_++ % slots_.size()];
    slot.copied.wait();
    const std::size_t bytes = std::min(slot_bytes_, host.size());
    std::memcpy(slot.memory, host.data(), bytes);
    HW_CUDA(stream_.name(), cudaMemcpyAsync(to, slot.memory, bytes, cudaMemcpyHostToDevice, stream_.get()));
    slot.copied = stream_.record();
    host = host.subspan(bytes);
    to += bytes;
  }
}

}  // namespace headwater::cuda
