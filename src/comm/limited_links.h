#pragma once
// The links of a ThreadNetwork: when a message that is sent now has arrived. Each host has one link with two
// directions; what goes one way over a link follows one another. Shared by the transports of one thread
// world; locks inside.

#include "headwater/comm/world.h"

#include <cstddef>
#include <mutex>
#include <vector>

namespace headwater::comm {

class LimitedLinks {
 public:
  LimitedLinks(const ThreadNetwork& network, int ranks);

  int host_of(int rank) const { return network_.ranks_per_host > 0 ? rank / network_.ranks_per_host : 0; }
  // In seconds of the clock that `now` is of; `now` itself between ranks of one host.
  double arrival(int from, int to, std::size_t bytes, double now);

 private:
  struct Link {
    double out_free = 0.0, in_free = 0.0;  // when the last message will have passed
  };

  ThreadNetwork network_;
  std::mutex mutex_;
  std::vector<Link> links_;  // by host
};

}  // namespace headwater::comm
