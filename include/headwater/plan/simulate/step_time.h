#pragma once
// How long a training step takes: the simulator plays its schedule; then gradients are summed, weights
// updated, and the new weights sent to the ranks that did not update them.

#include "headwater/plan/simulate/simulator.h"

#include <vector>

namespace headwater {

// Parts of a step on one device, in seconds; they add up to the step.
struct StepSeconds {
  double compute = 0.0, recompute = 0.0, pipeline_wait = 0.0, tensor_communication = 0.0,
         data_communication = 0.0, optimizer = 0.0;
  double total() const {
    return compute + recompute + pipeline_wait + tensor_communication + data_communication + optimizer;
  }
};

struct StepTime {
  double seconds = 0.0;
  double bubble_fraction = 0.0;    // of the schedule, before the end of the step
  double reduced = 0.0;            // when all gradients are summed everywhere
  std::vector<StepSeconds> ranks;  // by pipeline rank
  Simulation pipeline;
  std::size_t busiest = 0;  // the pipeline rank that computes longest
};

StepTime time_step(const LoweredSchedule& schedule, const StepCosts& costs);

}  // namespace headwater
