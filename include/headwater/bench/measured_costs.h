#pragma once
// What the parts of a run cost on the machines that it runs on, as time_step() asks for them: each stage's
// passes as they were timed while all ranks computed, the links between its ranks, the end of a step. Nothing
// here knows how long a whole step took.
//
// Collective: every rank calls the same functions, on its compute thread, and gets the same figures.

#include "headwater/comm/world.h"
#include "headwater/plan/simulate/step_time.h"
#include "headwater/train/training_step.h"

#include <vector>

namespace headwater {

// Of one rank: spans of computes, step after step, and the times of the steps, or trials, that they come
// from.
struct CostSamples {
  std::vector<Span> spans;
  std::vector<StepTimes> times;
};

// Between neighbouring pipeline ranks, by messages as large as theirs; the slowest of each kind.
PipelineNetwork measure_pipeline_network(World& world, Engine& engine);

// What each stage's passes take in a typical step, of the slowest rank that holds it; likewise the end of the
// step.
StepCosts measured_costs(Engine& engine, const CostSamples& samples, const PipelineNetwork& network);

// The same computes in the same order and places, without transfers: what all ranks can play at once to time
// them. Results mean nothing.
LoweredSchedule without_transfers(const LoweredSchedule& schedule);

}  // namespace headwater
