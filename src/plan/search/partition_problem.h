#pragma once
// From a run to the numbers that the search for its layer counts sees: seconds from the cost model, bytes
// from the same descriptions that the arena is laid out by.

#include "headwater/plan/cost/run_costs.h"

#include "stage_costs.h"

#include <vector>

namespace headwater {

// What a virtual stage holds at most, whatever its layers.
struct StageHolds {
  SlotCounts slots;
  int buffers = 0;  // of transfers, all kinds together
};

// One per virtual stage. Of lowered schedules exactly; of one that is not lowered, slots exactly and buffers
// as most lowerings give.
std::vector<StageHolds> stage_holds(const RunSchedules& schedules);
std::vector<StageHolds> stage_holds(const Schedule& schedule);

// The layout that `request` names does not matter. Bytes are those of the arena but for what is rounded up in
// each of its segments. Recomputation is free; PartitionProblem::recompute may say otherwise.
PartitionProblem partition_problem(const PlanRequest& request, const std::vector<StageHolds>& holds);

}  // namespace headwater
