#pragma once
// Bytes that are text. (std::as_bytes goes the other way.)

#include <cstddef>
#include <span>
#include <string_view>

namespace headwater {

// A view of the same memory; nothing is copied.
inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace headwater
