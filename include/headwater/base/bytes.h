#pragma once
// Bytes that are text.

#include <cstddef>
#include <span>
#include <string_view>

namespace headwater {

// A view of the same memory; nothing is copied.
inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The other way round. `text` must outlive the view.
inline std::span<const std::byte> as_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

}  // namespace headwater
