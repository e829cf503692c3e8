#pragma once
// What the way between two ranks can do, measured by messages that go back and forth.
//
// Collective over a group of two, on the compute threads; both ranks get the same figures.

#include "headwater/comm/communicator.h"

namespace headwater {

struct LinkSpeed {
  double bandwidth = 0.0;        // bytes per second in one direction, of a large message
  double latency_seconds = 0.0;  // of a message of a few bytes
};

// `large_bytes`: of the large messages; `rounds` of each kind.
struct LinkTrial {
  std::int64_t large_bytes = std::int64_t{32} << 20;
  int large_rounds = 7, small_rounds = 101;
};

LinkSpeed measure_link(Communicator& pair, const LinkTrial& trial = {});

}  // namespace headwater
