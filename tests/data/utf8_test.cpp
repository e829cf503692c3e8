#include "src/data/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace headwater {
namespace {

std::string encoded(std::uint32_t c) {
  const auto tail = [&](int shift) { return static_cast<char>(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) return {static_cast<char>(c)};
  if (c < 0x800) return {static_cast<char>(0xC0 | c >> 6), tail(0)};
  if (c < 0x10000) return {static_cast<char>(0xE0 | c >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xF0 | c >> 18), tail(12), tail(6), tail(0)};
}

TEST(Utf8, EveryCodePointIsValidButTheSurrogates) {
  std::string all;
  for (std::uint32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000)
      EXPECT_EQ(first_invalid_utf8("ab" + encoded(c)), 2u) << c;
    else
      all += encoded(c);
  }
  EXPECT_EQ(first_invalid_utf8(all), kValid);
  EXPECT_EQ(first_invalid_utf8(encoded(0x110000)), 0u);
}

TEST(Utf8, TheFirstBrokenByteIsFound) {
  for (const std::string bad :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC3", "\xC3(", "\xE0\x9F\xBF", "\xE2\x82", "\xE2\x82 ",
        "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF"})
    for (const std::string before : {"", "abc", "0123456789abcdef", "\xE6\xBA\x90", "1234567\xC3\xA9"}) {
      EXPECT_EQ(first_invalid_utf8(before + bad), before.size());
      EXPECT_EQ(first_invalid_utf8(before + bad + "and more text after it"), before.size());
    }
  EXPECT_EQ(first_invalid_utf8(""), kValid);
}

TEST(Utf8, BoundariesLieBetweenCharacters) {
  const std::string text = "a\xC3\xA9\xE6\xBA\x90\xF0\x9F\x99\x82z";  // characters begin at 0 1 3 6 10
  const std::size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
  for (std::size_t at = 0; at < 13; ++at) EXPECT_EQ(character_boundary(text, at), expected[at]) << at;
}

TEST(Utf8, ChunksEndAtALineFeedOrACharacter) {
  EXPECT_EQ(chunk_length("ab\ncd\nef", 20, 40), 8u);
  EXPECT_EQ(chunk_length("ab\ncd\nef", 8, 40), 8u);
  EXPECT_EQ(chunk_length("ab\ncd\nef", 2, 40), 3u);
  EXPECT_EQ(chunk_length("ab\ncd\nef", 3, 40), 3u);
  EXPECT_EQ(chunk_length("ab\ncd\nef", 4, 40), 6u);
  EXPECT_EQ(chunk_length("ab\ncd\nef", 7, 40), 8u);
  EXPECT_EQ(chunk_length("abcdef\n", 2, 6), 6u);
  EXPECT_EQ(chunk_length("abcde\nf", 2, 6), 6u);
  EXPECT_EQ(chunk_length("abc\xE6\xBA\x90", 2, 5), 3u);
  EXPECT_EQ(chunk_length("", 2, 5), 0u);
}

}  // namespace
}  // namespace headwater
