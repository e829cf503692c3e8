#pragma once
// The config of a benchmark, in which everything that it needs has a default.

#include "headwater/config/load_config.h"

namespace headwater {

// Returns the config of a run of `steps` steps. `file` may be empty.
RunConfig bench_config(const std::string& file, const std::vector<std::string>& overrides, int steps);

}  // namespace headwater
