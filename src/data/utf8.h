#pragma once
// What text needs to know of UTF-8: where it is broken, and where it may be cut. Pure functions.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace headwater {

inline constexpr std::size_t kValid = std::string_view::npos;

// Offset of the first byte that begins no well-formed character (Unicode 15, table 3-7: no overlong forms, no
// surrogates, nothing past U+10FFFF), or kValid.
std::size_t first_invalid_utf8(std::string_view text);

// The largest offset not past `at` that does not lie inside a character of valid text.
std::size_t character_boundary(std::string_view text, std::size_t at);

// How much of a long text to handle at once: up to and with the first line feed at or past `least` bytes;
// where `most` bytes hold none, up to the character that would pass them; all of it where it is no longer.
// The text is the rest of a document, or more than `most` bytes of it.
std::size_t chunk_length(std::string_view text, std::size_t least, std::size_t most);

}  // namespace headwater
