#pragma once
// Measures what the machines of this run can do, in the terms of a cluster file: per device, a device being
// what one rank has.
//
// Collective: every rank of the world calls it, on its compute thread. Rank 0's figures are complete.

#include "headwater/comm/link_speed.h"
#include "headwater/comm/world.h"

#include <map>
#include <optional>
#include <string>

namespace headwater {

struct MachineFigures {
  std::string name;  // of rank 0's host
  int nodes = 1, devices_per_node = 1;
  std::int64_t memory_bytes = 0;  // the host's memory divided by its ranks
  double memory_bandwidth = 0.0;  // bytes per second while all ranks measure
  // FLOP/s of a large square product by training.dtype, while all ranks measure.
  std::map<std::string, double> peak_flops;
  // Between rank 0 and the first other rank on its host, and the first on another host; nothing: there is
  // none.
  std::optional<LinkSpeed> intra_node, inter_node;
};

MachineFigures measure_machine(World& world, int threads);

}  // namespace headwater
