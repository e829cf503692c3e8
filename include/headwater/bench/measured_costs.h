#pragma once
// Measures the costs that time_step() asks for on the machines that the run runs on: each stage's passes,
// timed while all ranks compute; the links between its ranks; the end of a step. Nothing here knows how long
// a whole step took.
//
// Collective: every rank calls the same functions, on its compute thread, and gets the same figures.

#include "headwater/comm/world.h"
#include "headwater/plan/simulate/step_time.h"
#include "headwater/train/training_step.h"

#include <vector>

namespace headwater {

// The recordings of one rank: the spans of its computes, step after step, and the times of the steps, or
// trials, that the spans come from.
struct CostSamples {
  std::vector<Span> spans;
  std::vector<StepTimes> times;
};

// Measures the links between neighbouring pipeline ranks, by messages as large as theirs. Returns the slowest
// link inside a node and the slowest between nodes.
PipelineNetwork measure_pipeline_network(World& world, Engine& engine);

// Returns what each stage's passes and the end of a step take in a typical step. Where several ranks hold a
// stage, the slowest counts.
StepCosts measured_costs(Engine& engine, const CostSamples& samples, const PipelineNetwork& network);

// Returns the schedule with its computes alone, in the same order and on the same buffers. All ranks can play
// it at once to time the computes; the results mean nothing.
LoweredSchedule without_transfers(const LoweredSchedule& schedule);

}  // namespace headwater
