#pragma once
// From a run to the numbers that the search for its layer counts sees: seconds from the cost model, bytes
// from the same descriptions that the arena is laid out by.

#include "headwater/plan/run_costs.h"
#include "headwater/plan/stage_costs.h"

#include <vector>

namespace headwater {

// The most that a virtual stage holds at one time, whatever its layers.
struct StageHolds {
  SlotCounts slots;
  int buffers = 0;  // of transfers, all kinds together
};

// Returns an entry for each virtual stage. For lowered schedules it is exact; for a schedule that is not
// lowered the slots are exact, and the buffers are as many as most lowerings give.
std::vector<StageHolds> stage_holds(const RunSchedules& schedules);
std::vector<StageHolds> stage_holds(const Schedule& schedule);

// The layout that `request` names does not matter. Bytes are those of the arena but for what is rounded up in
// each of its segments. Recomputation is free; PartitionProblem::recompute may say otherwise.
PartitionProblem partition_problem(const PlanRequest& request, const std::vector<StageHolds>& holds);

}  // namespace headwater
