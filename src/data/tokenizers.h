#pragma once
// The kinds of tokenizer that make_tokenizer makes, and the code that they share.

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

// Returns the token_text of all ids, one after the other.
std::string joined_texts(const Tokenizer& tokenizer, std::span<const std::int32_t> ids);

}  // namespace headwater
