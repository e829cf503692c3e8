#pragma once
// Text as it is sent between ranks and read from mapped files: bytes.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace headwater {

inline std::string as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The bytes of `text`, which must outlive them.
inline std::span<const std::byte> as_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

}  // namespace headwater
