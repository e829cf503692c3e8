#pragma once
// The config of a benchmark: what it needs has a default.

#include "headwater/config/load_config.h"

namespace headwater {

// Of a run of `steps` steps. `file` may be empty.
RunConfig bench_config(const std::string& file, const std::vector<std::string>& overrides, int steps);

}  // namespace headwater
