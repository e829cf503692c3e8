#pragma once
// The config of a run of which only the time matters, for `bench` and `plan`.

#include "headwater/config/run_config.h"
#include "headwater/plan/cost/cluster.h"

namespace headwater {

// Validates the config and replaces what the time of a step does not depend on (data, learning rate,
// evaluation and the number of steps) by values that the rules accept.
RunConfig config_without_data(RunConfig run, int steps);

// Returns the dtype that `asked` means on that cluster: "auto" is bf16 where the cluster says how fast that
// is.
std::string dtype_on(const Cluster& cluster, const std::string& asked);

}  // namespace headwater
