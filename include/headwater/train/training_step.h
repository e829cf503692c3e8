#pragma once
// One training step on one rank: what the trainer repeats and the benchmark times.

#include "headwater/optim/optimizer.h"
#include "headwater/train/engine.h"

namespace headwater {

// Seconds on this rank.
struct StepTimes {
  ExecutionTimes execution;
  double schedule = 0.0;  // the schedule's part of the step: computes, waits and what lies between
  double reduce = 0.0;    // sums over ranks, and waiting for the slowest of them
  double update = 0.0;    // what the optimizer does for itself, at the beginning and the end
  double waited = 0.0;    // of all that: for other ranks, or for data on its way
  double total() const { return schedule + reduce + update; }
};

struct StepResult {
  StepScalars scalars;
  StepTimes times;
};

Optimizer make_optimizer(const OptimizerConfig& config, Engine& engine, std::int64_t seed);

// Forward and backward of the schedule's micro-batches, the sums over ranks, the update; waits for the
// scalars. `targets`: unmasked targets of the global batch.
StepResult training_step(Engine& engine, Optimizer& optimizer, const LoweredSchedule& schedule,
                         double learning_rate, double targets, const BatchSource& batches,
                         RandomKey dropout_seed, Recording* recording = nullptr);

}  // namespace headwater
