#include "utf8.h"

#include <algorithm>
#include <cstring>

namespace headwater {
namespace {

bool is_continuation(unsigned char byte) { return (byte & 0xC0) == 0x80; }

// Returns the length of the well-formed character at `p`, of which `left` bytes may be read, or 0 if there
// is none.
std::size_t character_length(const unsigned char* p, std::size_t left) {
  const unsigned char lead = p[0];
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (left < length) return 0;
  // After some lead bytes the second byte has a narrower range, without which the code point would be out of
  // range.
  const unsigned char least = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned char most = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (p[1] < least || p[1] > most) return 0;
  for (std::size_t i = 2; i < length; ++i)
    if (!is_continuation(p[i])) return 0;
  return length;
}

}  // namespace

std::size_t first_invalid_utf8(std::string_view text) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t at = 0;
  while (at < text.size()) {
    std::uint64_t word = 0;
    if (text.size() - at >= sizeof(word)) {
      std::memcpy(&word, bytes + at, sizeof(word));
      if ((word & 0x8080808080808080ULL) == 0) {
        at += sizeof(word);
        continue;
      }
    }
    const std::size_t length = character_length(bytes + at, text.size() - at);
    if (length == 0) return at;
    at += length;
  }
  return kValid;
}

std::size_t character_boundary(std::string_view text, std::size_t at) {
  if (at >= text.size()) return text.size();
  for (std::size_t back = 0; back < 4 && back <= at; ++back)
    if (!is_continuation(static_cast<unsigned char>(text[at - back]))) return at - back;
  return at;
}

std::size_t chunk_length(std::string_view text, std::size_t least, std::size_t most) {
  if (text.size() <= least) return text.size();
  const std::size_t feed = text.substr(0, most).find('\n', least - 1);
  if (feed != std::string_view::npos) return feed + 1;
  return character_boundary(text, most);
}

}  // namespace headwater
