#pragma once
// Blocks of a device's memory. Whoever holds the pointer owns the block, which is freed with it.

#include "headwater/tensor/device.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>

namespace headwater {

using DeviceMemory = std::unique_ptr<std::byte, std::function<void(std::byte*)>>;

// Returns zero-filled memory that is aligned to at least 256 bytes. Throws SystemError if the device does
// not exist or lacks the memory; the message names `purpose`, the bytes asked for and, for a GPU, the bytes
// that are free.
DeviceMemory allocate(Device device, std::int64_t bytes, std::string_view purpose);

// Copies within one device, and returns when the copy is complete.
void copy_within(Device device, const void* from, void* to, std::size_t bytes);

}  // namespace headwater
