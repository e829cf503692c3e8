#pragma once
// A run without data or files, for benchmarks: the trainer's step on random tokens.
//
// Collective: every rank makes one and calls the same functions, on its compute thread.

#include "headwater/backend/timed_backend.h"
#include "headwater/bench/measured_costs.h"
#include "headwater/train/run_setup.h"

#include <memory>

namespace headwater {

class RandomTraining {
 public:
  RandomTraining(World& world, const RunConfig& run, const RunSettings& settings);

  Engine& engine() { return *engine_; }
  TimedBackend& backend() { return *backend_; }
  Communicator& ranks() { return engine_->world_group(); }
  std::int64_t tokens_per_step() const { return global_batch_ * run_.training.seq_length; }

  // Makes one step, beginning once all ranks are ready. UserError where its loss or norm is not finite.
  StepTimes step(Recording* recording = nullptr);

  // Times the parts of a step: all ranks play their computes at once, without transfers, and then the end of
  // a step. Weights stay as they are, because the learning rate is 0.
  void time_parts(CostSamples& samples);

 private:
  RandomKey key(std::string_view name) const;
  Batch batch(int micro_batch) const;

  RunConfig run_;
  std::int64_t global_batch_ = 0;
  std::int64_t steps_ = 0;
  TimedBackend* backend_ = nullptr;  // the engine's
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Optimizer> optimizer_;
};

}  // namespace headwater
