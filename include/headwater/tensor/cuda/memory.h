#pragma once
// Memory of a GPU, and memory of the host that a GPU can reach while the host goes on.

#include "headwater/tensor/cuda/stream.h"
#include "headwater/tensor/device_memory.h"

#include <cstddef>
#include <span>
#include <vector>

namespace headwater::cuda {

// See allocate() of device_memory.h.
DeviceMemory allocate(Device device, std::int64_t bytes, std::string_view purpose);

void copy_within(Device device, const void* from, void* to, std::size_t bytes);

// Copies from the host to the device through pinned memory, so that the host's may be used again at once and nobody waits
// for the device, as long as not more than the ring holds is under way. Belongs to the thread of its stream.
class Staging {
 public:
  Staging(Stream& stream, std::size_t slot_bytes, int slots);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  void to_device(std::span<const std::byte> host, void* device);

 private:
  struct Slot {
    std::byte* memory = nullptr;
    Event copied;  // the copy out of it is over
  };

  Stream& stream_;
  std::size_t slot_bytes_;
  std::byte* pinned_ = nullptr;
  std::vector<Slot> slots_;
  std::size_t next_ = 0;
};

}  // namespace headwater::cuda
