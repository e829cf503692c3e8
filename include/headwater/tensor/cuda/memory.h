#pragma once
// Memory of a GPU, and memory of the host that a GPU can reach while the host goes on.

#include "headwater/tensor/cuda/stream.h"
#include "headwater/tensor/device_memory.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace headwater::cuda {

// See allocate() of device_memory.h.
DeviceMemory allocate(Device device, std::int64_t bytes, std::string_view purpose);

void copy_within(Device device, const void* from, void* to, std::size_t bytes);

// Copies from the host to the device through a ring of pinned memory, so that the host's may be used again at
// once. Nobody waits for the device until copies of more than the ring holds are under way; such a wait is a
// range of its own (profile_range.h). Belongs to the thread of its stream.
class Staging {
 public:
  // A ring that holds the copies of `bytes` bytes.
  Staging(Stream& stream, std::int64_t bytes);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  void to_device(std::span<const std::byte> host, void* device);

 private:
  // Filled by one copy after the other, and again when all of them are over.
  struct Slot {
    std::byte* memory = nullptr;
    Event copied;
  };
  void next_slot();

  Stream& stream_;
  std::byte* pinned_ = nullptr;
  std::vector<Slot> slots_;
  std::size_t slot_ = 0, used_ = 0;  // the one being filled, and how far
};

}  // namespace headwater::cuda
