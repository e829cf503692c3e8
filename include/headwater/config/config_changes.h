#pragma once
// Lists the differences between two configs for people. A resume logs what was changed since its checkpoint.

#include "headwater/config/run_config.h"

#include <string>
#include <vector>

namespace headwater {

// Returns a line such as "optimizer.lr: 0.001 -> 0.0005" for each key that differs, except those of `model`,
// which checkpoint/model_difference.h compares.
std::vector<std::string> config_changes(const RunConfig& before, const RunConfig& after);

}  // namespace headwater
