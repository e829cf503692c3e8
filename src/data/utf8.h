#pragma once
// UTF-8: finds where a text is invalid, and where it may be cut. Pure functions.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace headwater {

inline constexpr std::size_t kValid = std::string_view::npos;

// Returns the offset of the first byte at which no well-formed character begins, or kValid. Well-formed is
// as in Unicode 15, table 3-7: overlong forms, surrogates and code points past U+10FFFF are not.
std::size_t first_invalid_utf8(std::string_view text);

// Returns the largest offset up to `at` that does not lie inside a character. The text must be valid.
std::size_t character_boundary(std::string_view text, std::size_t at);

// Returns the length of the next chunk of a long text. A text of at most `least` bytes is one chunk.
// Otherwise a chunk ends with the first line feed at or past byte `least`; if the first `most` bytes have
// none there, it ends before the character that would pass them. `text` must be the rest of a document, or
// more than `most` bytes of it.
std::size_t chunk_length(std::string_view text, std::size_t least, std::size_t most);

}  // namespace headwater
