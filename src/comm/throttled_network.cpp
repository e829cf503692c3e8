#include "throttled_network.h"

#include <algorithm>

namespace headwater::comm {

ThrottledNetwork::ThrottledNetwork(const ThreadNetwork& network, int ranks)
    : network_(network), links_(static_cast<std::size_t>(host_of(ranks - 1)) + 1) {}

double ThrottledNetwork::arrival(int from, int to, std::size_t bytes, double now) {
  if (host_of(from) == host_of(to)) return now;
  const std::lock_guard lock(mutex_);
  double& out_free = links_[static_cast<std::size_t>(host_of(from))].out_free;
  double& in_free = links_[static_cast<std::size_t>(host_of(to))].in_free;
  const double start = std::max({now, out_free, in_free});
  out_free = in_free = start + static_cast<double>(bytes) / network_.bytes_per_second;
  return out_free + network_.latency_seconds;
}

}  // namespace headwater::comm
