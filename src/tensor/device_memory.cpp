#include "headwater/tensor/device_memory.h"

#include "headwater/base/error.h"
#if defined(HEADWATER_HAVE_CUDA)
#include "headwater/tensor/cuda/memory.h"
#endif

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

namespace headwater {
namespace {

// Anonymous pages: the system fills them with zeros, and provides each only when it is first touched.
DeviceMemory allocate_pages(std::int64_t bytes, std::string_view purpose) {
  const auto size = static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1));
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    throw SystemError("out of memory: the system refused {} bytes for {}", bytes, purpose);
  return {static_cast<std::byte*>(memory), [size](std::byte* pages) { munmap(pages, size); }};
}

}  // namespace

DeviceMemory allocate(Device device, std::int64_t bytes, std::string_view purpose) {
  HW_CHECK(bytes >= 0, "{} bytes for {}", bytes, purpose);
  if (device.kind == Device::Kind::cpu) return allocate_pages(bytes, purpose);
#if defined(HEADWATER_HAVE_CUDA)
  return cuda::allocate(device, bytes, purpose);
#else
  throw SystemError("no memory on {} for {}: this build knows only the device cpu", name_of(device), purpose);
#endif
}

void copy_within(Device device, const void* from, void* to, std::size_t bytes) {
  if (bytes == 0) return;
  if (device.kind == Device::Kind::cpu) {
    std::memcpy(to, from, bytes);
    return;
  }
#if defined(HEADWATER_HAVE_CUDA)
  cuda::copy_within(device, from, to, bytes);
#else
  throw InternalError("a copy on {}: this build knows only the device cpu", name_of(device));
#endif
}

}  // namespace headwater
