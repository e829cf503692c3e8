#pragma once
// The config of a run whose time matters and nothing else: what `bench` and `plan` look at.

#include "headwater/config/run_config.h"
#include "headwater/plan/cost/cluster.h"

namespace headwater {

// Validated. Data, learning rate, evaluation and the number of steps, which a step's time does not depend on,
// are replaced by something that the rules take.
RunConfig config_without_data(RunConfig run, int steps);

// What training.dtype "auto" would choose there: bf16 where the cluster says how fast that is.
std::string dtype_on(const Cluster& cluster, const std::string& asked);

}  // namespace headwater
