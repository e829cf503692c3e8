#include "headwater/train/training_step.h"

namespace headwater {

OptimizerGroups optimizer_groups(Engine& engine) {
  return {engine.data_group(), engine.pipeline_group(), engine.world_group(), engine.tied_group()};
}

StepResult training_step(Engine& engine, Optimizer& optimizer, double learning_rate, double targets,
                         const BatchSource& batches, RandomKey dropout_seed) {
  StepResult result;
  optimizer.begin_step(learning_rate, targets);
  result.times = engine.play(engine.layout().schedule, HeadMode::train, batches, dropout_seed);
  optimizer.reduce();
  optimizer.update();
  result.scalars = optimizer.read();
  return result;
}

}  // namespace headwater
