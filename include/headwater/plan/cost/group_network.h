#pragma once
// How long the collectives of one group take on a cluster.
//
// Bytes as in a ring: each device sends (n − 1)/n of the data, twice for an all-reduce. A group of which
// several devices share a node crosses between nodes with the links of all of them, at the speed of the links
// inside a node at most. Latencies as in a tree, ⌈log₂ n⌉ of them each way.

#include "headwater/plan/cost/cluster.h"

#include <vector>

namespace headwater {

class GroupNetwork {
 public:
  GroupNetwork() = default;  // of one rank: costs nothing
  // `ranks` of the cluster, in rank order.
  GroupNetwork(const Cluster& cluster, const std::vector<int>& ranks);

  int size() const { return size_; }
  double all_reduce_seconds(double bytes) const { return 2.0 * scatter_seconds(bytes); }
  // Of a reduce-scatter or an all-gather of `bytes`, all parts together.
  double scatter_seconds(double bytes) const;
  // A message of `bytes` to the neighbour, and as many from the other.
  double exchange_seconds(double bytes) const;
  double scatter_bytes(double bytes) const { return bytes * share_; }  // sent by each device

 private:
  int size_ = 1;
  double share_ = 0.0;  // (n − 1)/n
  LinkFigures link_;
};

}  // namespace headwater
