#include "src/data/permutation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace headwater {
namespace {

bool is_bijection(RandomKey key, std::uint64_t size) {
  const Permutation permutation(key, size);
  std::vector<bool> seen(size, false);
  for (std::uint64_t i = 0; i < size; ++i) {
    const std::uint64_t value = permutation(i);
    if (value >= size || seen[value]) return false;
    seen[value] = true;
  }
  return true;
}

TEST(Permutation, IsABijectionOfEverySize) {
  for (std::uint64_t size = 1; size <= 300; ++size)
    for (std::uint64_t key = 0; key < 4; ++key) EXPECT_TRUE(is_bijection(RandomKey{key}, size)) << size;
  for (const std::uint64_t size : {1023, 1024, 1025, 65535, 65536, 65537, 100003})
    EXPECT_TRUE(is_bijection(RandomKey{7}, size)) << size;
}

TEST(Permutation, StaysInsideAHugeDomainAndNeverMeets) {
  const std::uint64_t size = (std::uint64_t{1} << 61) + 12345;
  const Permutation permutation(RandomKey{3}, size);
  std::set<std::uint64_t> values;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    values.insert(permutation(i));
    values.insert(permutation(size - 1 - i));
  }
  EXPECT_EQ(values.size(), 2000u);
  EXPECT_LT(*values.rbegin(), size);
  EXPECT_GT(*values.rbegin(), size / 2);
}

// Over many keys each element must land everywhere equally often: chi-square, with size − 1 degrees of
// freedom per element.
TEST(Permutation, EveryPlaceIsEquallyLikelyOverTheKeys) {
  for (const std::uint64_t size : {2, 3, 5, 8, 13, 40}) {
    const int keys = 4000;
    std::vector<std::vector<int>> counts(size, std::vector<int>(size, 0));
    for (int key = 0; key < keys; ++key) {
      const Permutation permutation(derive(RandomKey{99}, static_cast<std::uint64_t>(key)), size);
      for (std::uint64_t i = 0; i < size; ++i) ++counts[i][permutation(i)];
    }
    const double expected = static_cast<double>(keys) / static_cast<double>(size);
    const double freedom = static_cast<double>(size - 1);
    for (std::uint64_t i = 0; i < size; ++i) {
      double chi = 0.0;
      for (const int count : counts[i]) chi += (count - expected) * (count - expected) / expected;
      EXPECT_LT(chi, freedom + 5.0 * std::sqrt(2.0 * freedom) + 5.0) << size << " " << i;
    }
  }
}

TEST(Permutation, OrderIsFarFromTheIdentityAndFromOtherKeys) {
  const std::uint64_t size = 10000;
  const Permutation one(RandomKey{1}, size), two(RandomKey{2}, size);
  double covariance = 0.0, between = 0.0;
  int fixed = 0, follows = 0;
  for (std::uint64_t i = 0; i < size; ++i) {
    const double x = static_cast<double>(i) / size - 0.5, y = static_cast<double>(one(i)) / size - 0.5;
    covariance += 12.0 * x * y / size;
    between += 12.0 * y * (static_cast<double>(two(i)) / size - 0.5) / size;
    fixed += one(i) == i;
    follows += i > 0 && one(i) == one(i - 1) + 1;
  }
  EXPECT_LT(std::abs(covariance), 0.05);  // five standard deviations
  EXPECT_LT(std::abs(between), 0.05);
  EXPECT_LT(fixed, 8);  // one is expected
  EXPECT_LT(follows, 8);
}

}  // namespace
}  // namespace headwater
