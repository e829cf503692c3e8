#pragma once
// The kinds of tokenizer behind make_tokenizer, and what they share. Private to the room.

#include "headwater/data/tokenizer.h"

#include <memory>
#include <span>
#include <string>

namespace headwater {

inline constexpr const char* kBytesSpec = "bytes";
inline constexpr const char* kEodPiece = "<eod>";
inline constexpr const char* kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

std::unique_ptr<Tokenizer> make_bytes_tokenizer();
std::unique_ptr<Tokenizer> make_sentencepiece_tokenizer(const std::string& path);

std::string joined_texts(const Tokenizer& tokenizer, std::span<const std::int32_t> ids);

}  // namespace headwater
