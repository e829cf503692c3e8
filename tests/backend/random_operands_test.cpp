// What measurements compute on: sizes and signs of the numbers, and how a tensor is filled with them.

#include "headwater/backend/random_operands.h"

#include "headwater/backend/cpu_backend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

namespace headwater {
namespace {

float as_bf16(std::uint16_t word) {
  bf16 number;
  number.bits = word;
  return static_cast<float>(number);
}

float as_upper_half(std::uint16_t word, std::uint16_t lower) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(word) << 16 | lower);
}

TEST(RandomOperands, AreOfBothSignsAndOfASizeThatNoSumOverflows) {
  const std::vector<std::uint16_t> words = random_words(Signs::both);
  std::vector<std::int64_t> set(16, 0);
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    for (const float x : {as_bf16(words[i]), as_upper_half(words[i], words[i + 1])}) {
      ASSERT_GE(std::fabs(x), 0x1p-7F);
      ASSERT_LT(std::fabs(x), 0x1p-3F);
    }
    for (std::size_t bit = 0; bit < 16; ++bit) set[bit] += words[i] >> bit & 1;
  }
  // Sign, mantissa and the exponent's two lower bits are set in every second word.
  for (const std::size_t bit : {15, 8, 7, 6, 5, 4, 3, 2, 1, 0})
    EXPECT_NEAR(static_cast<double>(set[bit]) / static_cast<double>(words.size()), 0.5, 0.01) << bit;
}

TEST(RandomOperands, ArePositiveWhereAsked) {
  for (const std::uint16_t word : random_words(Signs::positive)) {
    ASSERT_GE(as_bf16(word), 0x1p-7F);
    ASSERT_LT(as_bf16(word), 0x1p-3F);
  }
}

TEST(RandomOperands, RepeatNoRowOfAMatrix) {
  const std::vector<std::uint16_t> words = random_words(Signs::both);
  for (const std::int64_t columns : {512, 2048, 8192, 10240}) {
    const std::unique_ptr<Backend> backend = make_cpu_backend({});
    std::vector<std::uint16_t> matrix(static_cast<std::size_t>(600 * columns));
    fill_randomly(*backend, TensorView(matrix.data(), DType::bf16, {600, columns}));
    EXPECT_TRUE(std::equal(words.begin(),
                           words.begin() + std::min<std::ptrdiff_t>(std::ssize(words), std::ssize(matrix)),
                           matrix.begin()));
    std::vector<std::vector<std::uint16_t>> heads;  // of rows
    for (auto row = matrix.begin(); row != matrix.end(); row += columns) heads.emplace_back(row, row + 16);
    std::sort(heads.begin(), heads.end());
    EXPECT_EQ(std::adjacent_find(heads.begin(), heads.end()), heads.end()) << columns;
  }
}

TEST(RandomOperands, APatternIsRepeatedToTheLastElementAndNoFurther) {
  const std::unique_ptr<Backend> backend = make_cpu_backend({});
  std::vector<float> pattern(5);
  std::iota(pattern.begin(), pattern.end(), 1.0F);
  for (const std::int64_t count : {0, 1, 4, 5, 6, 23, 40}) {
    std::vector<float> filled(static_cast<std::size_t>(count) + 1, -1.0F);
    fill_again_and_again(*backend, TensorView(pattern.data(), DType::f32, {5}),
                         TensorView(filled.data(), DType::f32, {count}));
    for (std::int64_t i = 0; i < count; ++i)
      EXPECT_EQ(filled[static_cast<std::size_t>(i)], static_cast<float>(1 + i % 5)) << count;
    EXPECT_EQ(filled.back(), -1.0F) << count;
  }
}

}  // namespace
}  // namespace headwater
