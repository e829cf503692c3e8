#pragma once
// The reasons that keep a plan from being faster.

#include "headwater/plan/simulate/plan.h"

#include <string>
#include <vector>

namespace headwater {

// Returns one line for each thing that costs time, the most costly first. The cost of each is the difference
// to the same plan without it. With `keep_recompute` the recomputation is given, not free to choose.
std::vector<std::string> search_reasons(const Plan& plan, bool keep_recompute);

}  // namespace headwater
