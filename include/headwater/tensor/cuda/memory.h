#pragma once
// Memory of a GPU, and copies to it that the host does not wait for.

#include "headwater/tensor/cuda/stream.h"
#include "headwater/tensor/device_memory.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace headwater::cuda {

// These two do for GPUs what device_memory.h promises.
DeviceMemory allocate(Device device, std::int64_t bytes, std::string_view purpose);
void copy_within(Device device, const void* from, void* to, std::size_t bytes);

// Copies from the host to a device through a ring of pinned memory, so that the caller may overwrite its
// memory at once.
//
// A copy waits only if more bytes are under way than the ring holds; profilers show such a wait as a range
// (profile_range.h). Belongs to the thread of its stream.
class Staging {
 public:
  // The ring has room for copies of `bytes` bytes in all.
  Staging(Stream& stream, std::int64_t bytes);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  void to_device(std::span<const std::byte> host, void* device);

 private:
  // A part of the ring. Copies fill it one after the other; it is filled again once the device has made all
  // of them.
  struct Slot {
    std::byte* memory = nullptr;
    Event copied;
  };
  void next_slot();

  Stream& stream_;
  std::byte* pinned_ = nullptr;
  std::vector<Slot> slots_;
  std::size_t slot_ = 0, used_ = 0;  // the slot being filled, and the bytes used in it
};

}  // namespace headwater::cuda
