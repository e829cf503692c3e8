#pragma once
// One training step on one rank: what the trainer repeats and the benchmark times.

#include "headwater/optim/optimizer.h"
#include "headwater/train/engine.h"

namespace headwater {

struct StepResult {
  StepScalars scalars;
  PlayTimes times;
};

Optimizer make_optimizer(const OptimizerConfig& config, Engine& engine);

// Forward and backward of the step's micro-batches, the sums over ranks, the update; waits for the scalars. `targets`:
// unmasked targets of the global batch.
StepResult training_step(Engine& engine, Optimizer& optimizer, double learning_rate, double targets,
                         const BatchSource& batches, RandomKey dropout_seed);

}  // namespace headwater
