#include "headwater/base/random.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <set>
#include <string>

namespace headwater {
namespace {

constexpr std::uint64_t kOnes = ~std::uint64_t{0};

// The known answers that come with Random123, the reference implementation (kat_vectors, philox4x32 10 and
// 7).
TEST(Random, PhiloxKnownAnswers) {
  using Words = std::array<std::uint32_t, 4>;
  EXPECT_EQ(philox({0}, 0, 0), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({kOnes}, kOnes, kOnes), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x299f31d0a4093822}, 0x85a308d3243f6a88, 0x0370734413198a2e),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
  EXPECT_EQ(philox<7>({0}, 0, 0), (Words{0x5f6fb709, 0x0d893f64, 0x4f121f81, 0x4f730a48}));
  EXPECT_EQ(philox<7>({kOnes}, kOnes, kOnes), (Words{0x5207ddc2, 0x45165e59, 0x4d8ee751, 0x8c52f662}));
}

TEST(Random, DerivedKeysDifferAndOrderMatters) {
  const RandomKey root{1234};
  std::set<std::uint64_t> keys{root.value};
  for (std::uint64_t word = 0; word < 1000; ++word) keys.insert(derive(root, word).value);
  for (int i = 0; i < 1000; ++i) keys.insert(derive(root, std::to_string(i)).value);
  keys.insert(derive(root, "").value);
  keys.insert(derive(derive(root, 1), 2).value);
  keys.insert(derive(derive(root, 2), 1).value);
  keys.insert(derive(derive(root, "a"), "b").value);
  keys.insert(derive(derive(root, "b"), "a").value);
  keys.insert(derive(root, "ab").value);
  EXPECT_EQ(keys.size(), 2007U);
}

TEST(Random, OneBitOfSeedOrWordChangesHalfTheKey) {
  for (int bit = 0; bit < 64; ++bit) {
    const std::uint64_t flip = std::uint64_t{1} << bit;
    const std::uint64_t by_seed = derive({99}, 7).value ^ derive({99 ^ flip}, 7).value;
    const std::uint64_t by_word = derive({99}, 7).value ^ derive({99}, 7 ^ flip).value;
    for (const std::uint64_t changed : {by_seed, by_word}) {
      EXPECT_GT(std::popcount(changed), 12) << bit;
      EXPECT_LT(std::popcount(changed), 52) << bit;
    }
  }
}

// Runs recorded by one version must be continued by the next: these values may never change.
TEST(Random, StreamsAreFrozen) {
  const RandomKey key = derive(derive({1234}, "embedding.weight"), 3);
  EXPECT_EQ(key.value, 12889834192881455426U);
  EXPECT_EQ(uniform(key, 5), 705221399U * 0x1p-32);
  EXPECT_DOUBLE_EQ(normal(key, 5), -0.2964007767390923);
}

TEST(Random, UniformTakesEveryWordOfABlock) {
  const RandomKey key{42};
  const auto block = philox(key, 6);
  for (std::uint64_t i = 0; i < 4; ++i) EXPECT_EQ(uniform(key, 24 + i), block[i] / 4294967296.0);
}

TEST(Random, UniformMoments) {
  const int n = 200000;
  double sum = 0, squares = 0;
  for (int i = 0; i < n; ++i) {
    const double u = uniform({7}, static_cast<std::uint64_t>(i));
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
    squares += u * u;
  }
  // Five standard errors: sqrt(1/12 / n) and sqrt(4/45 / n).
  EXPECT_NEAR(sum / n, 1.0 / 2, 5 * std::sqrt(1.0 / 12 / n));
  EXPECT_NEAR(squares / n, 1.0 / 3, 5 * std::sqrt(4.0 / 45 / n));
}

TEST(Random, NormalMomentsAndNeighbours) {
  const int n = 200000;
  double sum = 0, squares = 0, fourth = 0, neighbours = 0, previous = 0;
  for (int i = 0; i < n; ++i) {
    const double z = normal({7}, static_cast<std::uint64_t>(i));
    ASSERT_TRUE(std::isfinite(z));
    sum += z;
    squares += z * z;
    fourth += z * z * z * z;
    neighbours += z * previous;
    previous = z;
  }
  // Five standard errors: the variances of z, z^2, z^4 and z z' are 1, 2, 96 and 1.
  EXPECT_NEAR(sum / n, 0, 5 * std::sqrt(1.0 / n));
  EXPECT_NEAR(squares / n, 1, 5 * std::sqrt(2.0 / n));
  EXPECT_NEAR(fourth / n, 3, 5 * std::sqrt(96.0 / n));
  EXPECT_NEAR(neighbours / n, 0, 5 * std::sqrt(1.0 / n));
}

}  // namespace
}  // namespace headwater
