#include "headwater/train/training_step.h"

#include <utility>

namespace headwater {

Optimizer make_optimizer(const OptimizerConfig& config, Engine& engine, std::int64_t seed) {
  return Optimizer(config, engine.store(), engine.backend(),
                   {[&engine](AxisSet axes) -> Communicator& { return engine.reduction_group(axes); },
                    engine.world_group(), engine.loss_group(), engine.tied_group()},
                   engine.scalars(), engine.tied_buffer(),
                   derive(RandomKey{static_cast<std::uint64_t>(seed)}, "rounding"));
}

StepResult training_step(Engine& engine, Optimizer& optimizer, const LoweredSchedule& schedule,
                         double learning_rate, double targets, const BatchSource& batches,
                         RandomKey dropout_seed, Recording* recording) {
  StepResult result;
  const Stopwatch watch;
  const double waited_before = engine.waited_seconds();
  double last = 0.0;
  // Returns the seconds since its last call.
  const auto lap = [&] {
    const double now = watch.seconds();
    return now - std::exchange(last, now);
  };
  const auto record = [&](SpanKind kind, double seconds) {
    if (recording != nullptr) recording->add({kind, -1, -1, recording->now() - seconds, recording->now()});
  };

  optimizer.begin_step(learning_rate, targets);
  const double begun = lap();
  const UnitHook complete = [&](int unit) { optimizer.complete(unit); };
  result.times.execution =
      engine.execute(schedule, HeadMode::train, batches, dropout_seed, complete, recording);
  result.times.schedule = lap();
  optimizer.reduce();
  result.times.reduce = lap();
  record(SpanKind::reduce, result.times.reduce);
  optimizer.update();
  result.scalars = optimizer.read();
  const double updated = lap();
  record(SpanKind::update, updated);
  result.times.update = begun + updated;
  result.times.waited = engine.waited_seconds() - waited_before;
  return result;
}

}  // namespace headwater
