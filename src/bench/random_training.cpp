#include "random_training.h"

#include "headwater/config/load_config.h"
#include "headwater/plan/search/auto_layout.h"
#include "headwater/run/global_batch.h"
#include "headwater/run/step_samples.h"
#include "headwater/stage/initialize.h"

namespace headwater {

RandomTraining::RandomTraining(World& world, const RunConfig& run, const RunSettings& settings)
    : run_(run), global_batch_(global_batch_size(run, world.size())) {
  run_.model = resolved(run.model, run.training.seq_length);
  const RankLayoutRequest request = training_request(run_, settings, world.size());
  const RankLayout layout(with_layers_found(request, settings.dtype, world.size()), world.rank(),
                          world.size());
  auto timed = std::make_unique<TimedBackend>(make_backend(settings, world, layout.host_bytes()));
  backend_ = timed.get();
  engine_ = std::make_unique<Engine>(world, layout, std::move(timed));
  optimizer_ = std::make_unique<Optimizer>(make_optimizer(run_.optimizer, *engine_, run_.training.seed));
  if (settings.device.kind == Device::Kind::cpu)
    initialize(engine_->store(), *backend_, static_cast<std::uint64_t>(run.training.seed), settings.threads);
  else
    initialize_by_copies(engine_->store(), *backend_);
}

StepTimes RandomTraining::step(Recording* recording) {
  barrier(ranks());
  const RandomKey dropout = derive(key("dropout"), static_cast<std::uint64_t>(steps_));
  auto [scalars, times] = training_step(
      *engine_, *optimizer_, engine_->layout().schedule, run_.optimizer.lr,
      static_cast<double>(tokens_per_step()), [&](int m) { return batch(m); }, dropout, recording);
  if (at(scalars, StepScalar::apply) == 0.0)
    throw UserError("loss or gradient norm was not finite in step {}: there is nothing to measure",
                    steps_ + 1);
  ++steps_;
  return times;
}

void RandomTraining::time_parts(CostSamples& samples) {
  const LoweredSchedule alone = without_transfers(engine_->layout().schedule);
  StepTimes times;
  barrier(ranks());
  const Stopwatch begin;
  optimizer_->begin_step(0.0, static_cast<double>(tokens_per_step()));
  times.update = begin.seconds();
  barrier(ranks());
  Recording recording;
  times.execution = engine_->execute(
      alone, HeadMode::train, [&](int m) { return batch(m); }, {}, {}, &recording);
  samples.spans.insert(samples.spans.end(), recording.spans().begin(), recording.spans().end());
  barrier(ranks());
  const Stopwatch reduce;
  optimizer_->reduce();
  times.reduce = reduce.seconds();
  const Stopwatch update;
  optimizer_->update();
  optimizer_->read();
  times.update += update.seconds();
  samples.times.push_back(times);
}

RandomKey RandomTraining::key(std::string_view name) const {
  return derive(RandomKey{static_cast<std::uint64_t>(run_.training.seed)}, name);
}

Batch RandomTraining::batch(int micro_batch) const {
  const BatchShape shape = engine_->layout().request.batch;
  const std::int64_t first = first_sample_of(engine_->layout(), steps_ * global_batch_, micro_batch);
  std::vector<std::int32_t> tokens, labels;
  for (std::int64_t sample = first; sample < first + shape.samples; ++sample) {
    const RandomKey sample_key = derive(key("tokens"), static_cast<std::uint64_t>(sample));
    const auto token = [&](std::int64_t i) {
      return static_cast<std::int32_t>(uniform(sample_key, static_cast<std::uint64_t>(i)) *
                                       static_cast<double>(run_.model.vocab_size));
    };
    for (std::int64_t i = 0; i < shape.sequence; ++i) tokens.push_back(token(i));
    for (std::int64_t i = 0; i < shape.sequence; ++i) labels.push_back(token(i + 1));
  }
  Batch made = make_batch(tokens, labels, shape.samples, shape.sequence, DocumentOptions{});
  made.first_sample = first;
  return made;
}

}  // namespace headwater
