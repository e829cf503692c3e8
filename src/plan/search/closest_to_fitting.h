#pragma once
// For the error where nothing fits: which way to share the ranks comes closest.

#include "headwater/plan/simulate/plan.h"

#include <vector>

namespace headwater {

// Returns the plan of the way whose fullest rank needs fewest bytes, each way with all layers recomputed and
// shared out as equally as their number allows. `ways` must not be empty.
Plan closest_to_fitting(const std::vector<PlanRequest>& ways);

}  // namespace headwater
