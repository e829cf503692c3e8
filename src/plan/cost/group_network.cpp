#include "headwater/plan/cost/group_network.h"

#include "headwater/base/error.h"

#include <algorithm>
#include <bit>

namespace headwater {

GroupNetwork::GroupNetwork(const Cluster& cluster, const std::vector<int>& ranks)
    : size_(static_cast<int>(ranks.size())) {
  HW_CHECK(!ranks.empty(), "a group of no ranks");
  if (size_ == 1) return;
  share_ = (size_ - 1.0) / size_;
  // Ranks are in order, so that those of one node are neighbours. The node with fewest ranks is the slowest.
  int fewest = size_, here = 0;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    ++here;
    if (i + 1 < ranks.size() && !cluster.between_nodes(ranks[i], ranks[i + 1])) continue;
    fewest = std::min(fewest, here);
    here = 0;
  }
  if (fewest == size_) {
    link_ = cluster.intra_node;
  } else {
    link_ = cluster.inter_node;
    link_.bandwidth *= fewest;
    if (fewest > 1) link_.bandwidth = std::min(link_.bandwidth, cluster.intra_node.bandwidth);
  }
}

double GroupNetwork::scatter_seconds(double bytes) const {
  if (size_ == 1) return 0.0;
  return std::bit_width(static_cast<unsigned>(size_ - 1)) * link_.latency_seconds +
         bytes * share_ / link_.bandwidth;
}

double GroupNetwork::exchange_seconds(double bytes) const { return size_ == 1 ? 0.0 : link_.seconds(bytes); }

}  // namespace headwater
