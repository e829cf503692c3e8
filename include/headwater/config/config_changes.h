#pragma once
// What differs between two configs, for people: a resume says what was changed since its checkpoint.

#include "headwater/config/run_config.h"

#include <string>
#include <vector>

namespace headwater {

// "optimizer.lr: 0.001 -> 0.0005" for each key outside `model` (checkpoint/model_difference.h compares
// models).
std::vector<std::string> config_changes(const RunConfig& before, const RunConfig& after);

}  // namespace headwater
