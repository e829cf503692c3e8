#pragma once
// From accumulated gradients to new weights: sums over the ranks that hold the same parameters, the tied
// embedding's exchange between the two ends of the pipeline, the true global norm, clipping, AdamW, and,
// where the optimizer is sharded, the new weights' way to the ranks that did not make them. Loss, norm and
// the decision to skip a non-finite step stay on the device (StepScalar); the host learns them from read().
//
// Sums of a bucket begin as soon as its last gradient is there, and new weights travel on when update()
// returns: ParameterStore::wait_for_weights waits for them. Belongs to the compute thread; every rank of a
// run calls the same functions in the same order.

#include "headwater/base/random.h"
#include "headwater/comm/communicator.h"
#include "headwater/stage/parameter_store.h"

#include <array>
#include <functional>

namespace headwater {

// The groups that this rank's optimizer talks to.
struct OptimizerGroups {
  // those that gradients are summed over: ParameterLayout::sum_axes()
  std::function<Communicator&(AxisSet)> reduction;
  Communicator& all;   // every rank
  Communicator& loss;  // one tensor rank of all stages of all replicas: everything that adds to the loss
  Communicator* tied = nullptr;  // first and last stage, where this rank is one of the two and they are apart
};

using StepScalars = std::array<double, static_cast<std::size_t>(kStepScalars)>;
inline double& at(StepScalars& scalars, StepScalar which) { return scalars[static_cast<std::size_t>(which)]; }

class Optimizer {
 public:
  // `scalars` f64 [kStepScalars]; `tied_buffer` a [elements of this rank's part of the tied bucket] where
  // groups.tied is set; `rounding` keys the chance by which bf16 weights are rounded, where the config says
  // so.
  Optimizer(const OptimizerConfig& config, ParameterStore& store, Backend& backend, OptimizerGroups groups,
            TensorView scalars, TensorView tied_buffer, RandomKey rounding = {});

  // Clears gradients and scalars. `targets`: unmasked targets of the global batch.
  void begin_step(double learning_rate, double targets);
  // No more gradients of this unit's parameters come in this step. Those that nobody reports reduce() takes
  // as they are.
  void complete(int unit);
  // Sums gradients and losses over the ranks and takes the global norm; what this rank updates of the
  // gradients then is that of the global batch.
  void reduce();
  void update();
  StepScalars read();  // waits

  std::int64_t updates() const { return updates_; }
  void set_updates(std::int64_t updates) { updates_ = updates; }

 private:
  // How far the sum of a bucket's gradients has come.
  struct Sum {
    std::size_t units_left = 0;
    bool started = false;
    Event done, sent, received;  // the latter two of a tied bucket
  };
  struct Run {  // neighbours that AdamW takes in one call
    Range elements;
    bool decays = true;
    StochasticRounding rounding;
  };
  TensorView gradients(Range range) const { return range_of(store_.gradients(), range); }
  TensorView scalar(StepScalar which) const {
    return range_of(scalars_, static_cast<std::int64_t>(which), 1);
  }
  std::vector<Run> runs_of(const Bucket& bucket) const;
  StochasticRounding rounding_of(const ParameterPlace& place, std::int64_t begin) const;
  void start_sum(std::size_t bucket);
  void finish_sum(std::size_t bucket);
  void update(const Run& run);

  OptimizerConfig config_;
  ParameterStore& store_;
  Backend& backend_;
  OptimizerGroups groups_;
  TensorView scalars_, tied_buffer_;
  RandomKey rounding_;
  std::vector<Sum> sums_;               // by bucket
  std::vector<std::vector<Run>> runs_;  // by bucket
  std::int64_t updates_ = 0;
};

}  // namespace headwater
