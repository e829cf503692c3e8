#include "headwater/train/training_step.h"

namespace headwater {

Optimizer make_optimizer(const OptimizerConfig& config, Engine& engine) {
  const RankLayout& layout = engine.layout();
  return Optimizer(config, engine.store(), engine.backend(),
                   {[&engine](AxisSet axes) -> Communicator& { return engine.reduction_group(axes); }, engine.world_group(),
                    engine.loss_group(), engine.tied_group()},
                   [&layout](const ParameterPlace& place) { return layout.owns(place); }, engine.scalars(),
                   engine.tied_buffer());
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
