#include "headwater/data/blend.h"

#include "headwater/base/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace headwater {
namespace {

void expect_close_to_shares(const std::vector<double>& weights) {
  const Blend blend(weights);
  const auto k = static_cast<double>(weights.size());
  std::vector<std::int64_t> taken(weights.size(), 0);
  double worst = 0.0;
  for (std::int64_t n = 0; n < Blend::kPeriod; ++n) {
    const Blend::Place place = blend(n);
    ASSERT_EQ(place.sample, taken[static_cast<std::size_t>(place.source)]++) << n;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const double share = static_cast<double>(blend.quotas()[i]) / Blend::kPeriod;
      worst = std::max(worst, std::abs(static_cast<double>(taken[i]) - share * static_cast<double>(n + 1)));
    }
  }
  EXPECT_LE(worst, 1.0 - 1.0 / (2.0 * k - 2.0) + 1e-9);
  EXPECT_EQ(taken, blend.quotas());
}

TEST(Blend, CountsStayWithinOneOfTheShares) {
  expect_close_to_shares({1, 1});
  expect_close_to_shares({0.7, 0.3});
  expect_close_to_shares({5, 3, 1, 1});
  expect_close_to_shares({1e-9, 1, 1e-9, 2});
  for (std::uint64_t trial = 0; trial < 6; ++trial) {
    std::vector<double> weights;
    for (std::uint64_t i = 0; i < 3 + 5 * trial; ++i)
      weights.push_back(std::pow(uniform(RandomKey{trial}, i) + 1e-3, 3.0));
    expect_close_to_shares(weights);
  }
}

TEST(Blend, QuotasAreTheSharesRounded) {
  const std::vector<double> weights = {10, 20, 30.5, 1e-12};
  const Blend blend(weights);
  EXPECT_EQ(std::accumulate(blend.quotas().begin(), blend.quotas().end(), std::int64_t{0}), Blend::kPeriod);
  EXPECT_EQ(blend.quotas()[3], 1);
  EXPECT_NEAR(static_cast<double>(blend.quotas()[1]), 20 / 60.5 * Blend::kPeriod, 1.0);
}

TEST(Blend, CountersGoOnOverPeriods) {
  const std::vector<double> weights = {3, 1};
  const Blend blend(weights);
  std::vector<std::int64_t> next(2, 0);
  for (std::int64_t n = 0; n < 3 * Blend::kPeriod; ++n) {
    const Blend::Place place = blend(n);
    ASSERT_EQ(place.sample, next[static_cast<std::size_t>(place.source)]++);
  }
  const std::int64_t far = 1'000'000'000'000 * Blend::kPeriod;
  EXPECT_EQ(blend(far).sample,
            blend(0).sample + 1'000'000'000'000 * blend.quotas()[static_cast<std::size_t>(blend(0).source)]);
}

TEST(Blend, OneSourceGetsEverySample) {
  const std::vector<double> weights = {0.25};
  const Blend blend(weights);
  for (const std::int64_t n : {0L, 1L, 70000L, 1L << 50}) {
    EXPECT_EQ(blend(n).source, 0);
    EXPECT_EQ(blend(n).sample, n);
  }
}

TEST(Blend, ManySourcesFit) {
  const std::vector<double> weights(Blend::kMostSources, 1.0);
  const Blend blend(weights);
  for (const std::int64_t quota : blend.quotas()) EXPECT_EQ(quota, Blend::kPeriod / 1024);
}

}  // namespace
}  // namespace headwater
