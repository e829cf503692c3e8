#pragma once
// A block of a device's memory, zero-filled. Owned by whoever holds the pointer, and given back with it.

#include "headwater/tensor/device.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>

namespace headwater {

using DeviceMemory = std::unique_ptr<std::byte, std::function<void(std::byte*)>>;

// Aligned to 256 bytes at least. SystemError, naming `purpose`, the bytes asked for and (of a GPU) those that
// are free, where there is not so much, or no such device.
DeviceMemory allocate(Device device, std::int64_t bytes, std::string_view purpose);

// Copies between two places of one device, and returns when the copy has been made.
void copy_within(Device device, const void* from, void* to, std::size_t bytes);

}  // namespace headwater
