#pragma once
// Makes the problem that the search for layer counts solves, of numbers alone: seconds from the cost model,
// bytes from the descriptions by which the arena is laid out.

#include "headwater/plan/cost/run_costs.h"

#include "stage_costs.h"

#include <vector>

namespace headwater {

// The most that a virtual stage holds at the same time, whatever its layers.
struct StageHolds {
  SlotCounts slots;
  // Transfer buffers, all kinds together, beside those that keep what the stage has received: its units count
  // that with what lies in their slots.
  int buffers = 0;
};

// Returns one entry per virtual stage. For lowered schedules it is exact. For a schedule that is not lowered
// yet, the slots are exact and the buffers are as many as most lowerings give it.
std::vector<StageHolds> stage_holds(const RunSchedules& schedules);
std::vector<StageHolds> stage_holds(const Schedule& schedule);

// The layout that `request` names does not matter. Bytes are those of the arena without the rounding of its
// segments. The search is free to choose recomputation unless the caller sets PartitionProblem::recompute.
PartitionProblem partition_problem(const PlanRequest& request, const std::vector<StageHolds>& holds);

}  // namespace headwater
