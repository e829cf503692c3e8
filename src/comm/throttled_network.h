#pragma once
// The simulated network between thread ranks: computes when a message that is sent now will have arrived.
//
// Each host has one link to the network, with a way out and a way in. Messages that take the same way follow
// one another, each for bytes / rate seconds. Shared by the transports of one thread world; locks inside.

#include "headwater/comm/world.h"

#include <cstddef>
#include <mutex>
#include <vector>

namespace headwater::comm {

class ThrottledNetwork {
 public:
  ThrottledNetwork(const ThreadNetwork& network, int ranks);

  int host_of(int rank) const { return network_.ranks_per_host > 0 ? rank / network_.ranks_per_host : 0; }
  bool at_once() const { return links_.size() == 1; }  // every message arrives when it is sent
  // When a message that is sent at `now` arrives, in seconds of the same clock. Between ranks of one host
  // that is `now` itself. Otherwise the message occupies its two links from now on until it has passed.
  double arrival(int from, int to, std::size_t bytes, double now);

 private:
  // When the last message so far will have passed, in either direction.
  struct Link {
    double out_free = 0.0, in_free = 0.0;
  };

  ThreadNetwork network_;
  std::mutex mutex_;
  std::vector<Link> links_;  // by host
};

}  // namespace headwater::comm
