#pragma once
// One training step on one rank, which the trainer repeats and the benchmark times.

#include "headwater/optim/optimizer.h"
#include "headwater/train/engine.h"

namespace headwater {

// How this rank spent the seconds of a step.
struct StepTimes {
  ExecutionTimes execution;
  double schedule = 0.0;  // executing the schedule: computes, waits and everything between them
  double reduce = 0.0;    // summing over ranks, and waiting for the slowest of them
  double update = 0.0;    // the optimizer's own work, at the beginning and the end
  double waited = 0.0;    // part of the above: waiting for other ranks, or for data on its way
  double total() const { return schedule + reduce + update; }
};

struct StepResult {
  StepScalars scalars;
  StepTimes times;
};

Optimizer make_optimizer(const OptimizerConfig& config, Engine& engine, std::int64_t seed);

// Runs forward and backward of the schedule's micro-batches, sums gradients over the ranks, updates the
// weights, and waits for the step's scalars. `targets` is the number of unmasked targets of the global batch.
// `recording` may be null. Collective.
StepResult training_step(Engine& engine, Optimizer& optimizer, const LoweredSchedule& schedule,
                         double learning_rate, double targets, const BatchSource& batches,
                         RandomKey dropout_seed, Recording* recording = nullptr);

}  // namespace headwater
