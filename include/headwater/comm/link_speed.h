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

LinkSpeed measure_link(Communicator& pair);

}  // namespace headwater
