#pragma once
// Constants of the .idx format (docs/formats/indexed-dataset.md). …At are offsets in bytes.

#include <cstdint>
#include <string_view>

namespace headwater {

inline constexpr std::string_view kIndexMagic("MMIDIDX\0\0", 9);
inline constexpr std::uint64_t kIndexVersion = 1;
inline constexpr std::int64_t kIndexVersionAt = 9;
inline constexpr std::int64_t kIndexTypeAt = 17;
inline constexpr std::int64_t kIndexSequencesAt = 18;
inline constexpr std::int64_t kIndexDocumentsAt = 26;
inline constexpr std::int64_t kIndexHeaderBytes = 34;

}  // namespace headwater
