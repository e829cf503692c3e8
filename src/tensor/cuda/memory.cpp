#include "headwater/tensor/cuda/memory.h"

#include "headwater/base/error.h"
#include "headwater/tensor/cuda/check.h"
#include "headwater/tensor/cuda/devices.h"
#include "headwater/tensor/profile_range.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace headwater::cuda {
namespace {

constexpr std::size_t kSlot = 1 << 20;  // bytes of a slot of Staging
constexpr std::size_t kLine = 256;      // copies begin at multiples of it

}  // namespace

DeviceMemory allocate(Device device, std::int64_t bytes, std::string_view purpose) {
  use(device);
  const std::string where = name_of(device);
  const auto size = static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1));
  void* memory = nullptr;
  if (const cudaError_t error = cudaMalloc(&memory, size); error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    std::size_t free = 0, total = 0;
    HW_CUDA(where, cudaMemGetInfo(&free, &total));
    throw SystemError("out of memory: {} refused {} bytes for {}; {} of its {} are free", where, bytes,
                      purpose, free, total);
  } else {
    check(error, where, "cudaMalloc", __FILE__, __LINE__);
  }
  DeviceMemory owned(static_cast<std::byte*>(memory),
                     [where](std::byte* p) { HW_CUDA_LOG(where, cudaFree(p)); });
  HW_CUDA(where, cudaMemset(memory, 0, size));
  // The default stream fills the memory, and other streams do not wait for that one. So the host waits here.
  HW_CUDA(where, cudaDeviceSynchronize());
  return owned;
}

void copy_within(Device device, const void* from, void* to, std::size_t bytes) {
  use(device);
  HW_CUDA(name_of(device), cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToDevice));
  HW_CUDA(name_of(device),
          cudaDeviceSynchronize());  // cudaMemcpy within a device may return before it is complete
}

// The ring has one slot more than the bytes fill, as the first copy may begin in the middle of a slot.
Staging::Staging(Stream& stream, std::int64_t bytes)
    : stream_(stream),
      slots_((static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1)) + kSlot - 1) / kSlot + 1) {
  const std::size_t all = kSlot * slots_.size();
  void* memory = nullptr;
  if (const cudaError_t error = cudaHostAlloc(&memory, all, cudaHostAllocDefault);
      error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw SystemError("out of memory: the host refused {} bytes of pinned memory to {}", all, stream_.name());
  } else {
    check(error, stream_.name(), "cudaHostAlloc", __FILE__, __LINE__);
  }
  pinned_ = static_cast<std::byte*>(memory);
  for (std::size_t i = 0; i < slots_.size(); ++i) slots_[i].memory = pinned_ + i * kSlot;
}

Staging::~Staging() {
  HW_CUDA_LOG(stream_.name(), cudaStreamSynchronize(stream_.get()));
  HW_CUDA_LOG(stream_.name(), cudaFreeHost(pinned_));
}

void Staging::next_slot() {
  slots_[slot_].copied = stream_.record();
  slot_ = (slot_ + 1) % slots_.size();
  used_ = 0;
  Slot& slot = slots_[slot_];
  if (slot.copied.done()) return;
  const ProfileRange range("host waits for copies to {}", name_of(stream_.device()));
  slot.copied.wait();
}

void Staging::to_device(std::span<const std::byte> host, void* device) {
  auto* to = static_cast<std::byte*>(device);
  while (!host.empty()) {
    if (used_ == kSlot) next_slot();
    const std::size_t bytes = std::min(kSlot - used_, host.size());
    std::byte* const from = slots_[slot_].memory + used_;
    std::memcpy(from, host.data(), bytes);
    HW_CUDA(stream_.name(), cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_.get()));
    used_ = std::min((used_ + bytes + kLine - 1) / kLine * kLine, kSlot);
    host = host.subspan(bytes);
    to += bytes;
  }
}

}  // namespace headwater::cuda
