#pragma once
// How long the collectives of one group of n devices take on a cluster:
//
//   seconds of a reduce-scatter or an all-gather = ⌈log₂ n⌉ × latency + (n − 1)/n × bytes / bandwidth
//
// An all-reduce is both. The bytes are a ring's, the latencies a tree's. Where k devices of the group share
// each node, the bandwidth between nodes is k times one device's, but at most that inside a node.

#include "headwater/plan/cost/cluster.h"

#include <vector>

namespace headwater {

class GroupNetwork {
 public:
  GroupNetwork() = default;  // a group of one rank, in which everything is free
  // `ranks` are the group's, in rank order.
  GroupNetwork(const Cluster& cluster, const std::vector<int>& ranks);

  int size() const { return size_; }
  double all_reduce_seconds(double bytes) const { return 2.0 * scatter_seconds(bytes); }
  // Takes a reduce-scatter or an all-gather of `bytes`, all parts together.
  double scatter_seconds(double bytes) const;
  // Sends `bytes` to one neighbour while as many come from the other.
  double exchange_seconds(double bytes) const;
  double scatter_bytes(double bytes) const { return bytes * share_; }  // sent by each device

 private:
  int size_ = 1;
  double share_ = 0.0;  // (n − 1)/n
  LinkFigures link_;
};

}  // namespace headwater
