#include "headwater/plan/cost/group_network.h"

#include <gtest/gtest.h>

namespace headwater {
namespace {

// Two nodes of four; links of 100 and 10 bytes per second, latencies of 1 and 2 seconds.
Cluster a_cluster() {
  Cluster cluster;
  cluster.nodes = 2;
  cluster.devices_per_node = 4;
  cluster.intra_node = {100.0, 1.0};
  cluster.inter_node = {10.0, 2.0};
  return cluster;
}

TEST(GroupNetwork, OneRankPaysNothing) {
  for (const GroupNetwork& network : {GroupNetwork(), GroupNetwork(a_cluster(), {3})}) {
    EXPECT_EQ(network.all_reduce_seconds(1e9), 0.0);
    EXPECT_EQ(network.scatter_bytes(1e9), 0.0);
    EXPECT_EQ(network.exchange_seconds(1e9), 0.0);
  }
}

TEST(GroupNetwork, OfOneNode) {
  const GroupNetwork network(a_cluster(), {0, 1, 2, 3});
  EXPECT_DOUBLE_EQ(network.scatter_bytes(400.0), 300.0);
  EXPECT_DOUBLE_EQ(network.scatter_seconds(400.0), 2 * 1.0 + 3.0);
  EXPECT_DOUBLE_EQ(network.all_reduce_seconds(400.0), 10.0);
  EXPECT_DOUBLE_EQ(network.exchange_seconds(400.0), 5.0);
}

TEST(GroupNetwork, OfOneRankOnEachNodeUsesOneLink) {
  const GroupNetwork network(a_cluster(), {1, 5});
  EXPECT_DOUBLE_EQ(network.scatter_seconds(400.0), 2.0 + 20.0);
}

TEST(GroupNetwork, RanksOfOneNodeCrossWithTheirLinksTogether) {
  const GroupNetwork pairs(a_cluster(), {0, 1, 4, 5});
  EXPECT_DOUBLE_EQ(pairs.scatter_seconds(400.0), 2 * 2.0 + 300.0 / 20.0);
  // The node with the fewest sets the pace.
  const GroupNetwork lopsided(a_cluster(), {1, 2, 3, 4});
  EXPECT_DOUBLE_EQ(lopsided.scatter_seconds(400.0), 2 * 2.0 + 300.0 / 10.0);
  // No faster than inside a node.
  Cluster fast = a_cluster();
  fast.inter_node.bandwidth = 60.0;
  EXPECT_DOUBLE_EQ(GroupNetwork(fast, {0, 1, 4, 5}).scatter_seconds(400.0), 2 * 2.0 + 300.0 / 100.0);
}

}  // namespace
}  // namespace headwater
