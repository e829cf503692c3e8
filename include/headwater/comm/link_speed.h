#pragma once
// Measures bandwidth and latency between two ranks, by messages that go back and forth.

#include "headwater/comm/communicator.h"

namespace headwater {

struct LinkSpeed {
  double bandwidth = 0.0;        // bytes per second of a large message in one direction
  double latency_seconds = 0.0;  // time of a message of a few bytes in one direction
};

struct LinkTrial {
  std::int64_t large_bytes = std::int64_t{32} << 20;  // size of the large message
  int large_rounds = 7, small_rounds = 101;           // round trips of which the median is taken
};

// Both ranks of the group `pair` call it, on their compute threads, and get the same figures.
LinkSpeed measure_link(Communicator& pair, const LinkTrial& trial = {});

}  // namespace headwater
