#pragma once
// What has been allocated on the devices, and as pinned memory of the host. Memory of a device is ordinary
// memory, filled with 0xFF (a NaN in every floating type), with room around it that belongs to nobody. Any
// thread may call.

#include <cstddef>
#include <cstdint>
#include <memory>

namespace emulation {

class AccessHistory;

struct Allocation {
  unsigned char* begin = nullptr;
  std::size_t bytes = 0;
  bool pinned = false;  // memory of the host
  int device = 0;
  std::unique_ptr<std::uint8_t[]> written;  // of the device: 1 for each byte that has been
  std::unique_ptr<AccessHistory> history;   // made by the first check

  Allocation();
  Allocation(Allocation&&) noexcept;
  Allocation& operator=(Allocation&&) noexcept;
  ~Allocation();
  bool holds(const void* address, std::size_t size) const {
    const auto* const first = static_cast<const unsigned char*>(address);
    return first >= begin && first + size <= begin + bytes;
  }
};

void* allocate(std::size_t bytes, bool pinned, int device);  // null where the device has no more
bool release(void* memory, bool pinned);                     // false where it is none of ours
// The allocation that `address` lies in; null if none. It stays while its memory does.
Allocation* allocation_of(const void* address);
Allocation* allocation_near(const void* address);  // the same, or in the room before or after it
std::size_t allocated_bytes(int device);
void note_written(const void* address, std::size_t bytes);
void forget_histories();

// Memory of the devices cannot be touched while it is closed: a host that reads it ends with a line that says
// so. Closed between calls where accesses are checked, open while work runs.
void open_device_memory();
void close_device_memory();

}  // namespace emulation
