#include "headwater/comm/link_speed.h"

#include "headwater/comm/world.h"

#include <gtest/gtest.h>

#include <array>

namespace headwater {
namespace {

TEST(LinkSpeed, BothEndsLearnTheSame) {
  std::array<LinkSpeed, 2> found;
  run_on_threads(3, [&](World& world) {
    if (world.rank() == 1) return;
    const auto pair = world.group("link", {0, 2});
    found[static_cast<std::size_t>(pair->rank())] = measure_link(*pair);
  });
  EXPECT_EQ(found[0].bandwidth, found[1].bandwidth);
  EXPECT_EQ(found[0].latency_seconds, found[1].latency_seconds);
  EXPECT_GT(found[0].latency_seconds, 0.0);
  EXPECT_LT(found[0].latency_seconds, 10.0);
  EXPECT_GT(found[0].bandwidth, 1e5);
}

}  // namespace
}  // namespace headwater
