#pragma once
// The config of a run whose time matters and nothing else: what `bench` and `plan` look at.

#include "headwater/config/run_config.h"

namespace headwater {

// Validated. Data, learning rate, evaluation and the number of steps, which a step's time does not depend on, are replaced
// by something that the rules take.
RunConfig config_without_data(RunConfig run, int steps);

}  // namespace headwater
