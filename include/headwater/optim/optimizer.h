#pragma once
// From accumulated gradients to new weights: sums over data-parallel ranks, the tied embedding's exchange between the two
// ends of the pipeline, the true global norm, clipping, AdamW. Loss, norm and the decision to skip a non-finite step stay on
// the device (StepScalar); the host learns them from read().
//
// Belongs to the compute thread; every rank of a run calls the same functions in the same order.

#include "headwater/comm/communicator.h"
#include "headwater/nn/parameter_store.h"

#include <array>
#include <functional>

namespace headwater {

// The groups that this rank's optimizer talks to.
struct OptimizerGroups {
  std::function<Communicator&(AxisSet)> reduction;  // those that a bucket's gradients are summed over
  Communicator& all;        // every rank
  Communicator& loss;       // one tensor rank of all stages of all replicas: everything that adds to the loss
  Communicator* tied = nullptr;  // first and last stage, where this rank is one of the two and they are apart
};

using StepScalars = std::array<double, static_cast<std::size_t>(kStepScalars)>;
inline double& at(StepScalars& scalars, StepScalar which) { return scalars[static_cast<std::size_t>(which)]; }

class Optimizer {
 public:
  // `owned` says whose norm this rank counts: of several copies of a parameter, one rank's. `scalars` f64 [kStepScalars];
  // `tied_buffer` a [elements of the tied bucket] where groups.tied is set.
  Optimizer(const OptimizerConfig& config, ParameterStore& store, Backend& backend, OptimizerGroups groups,
            std::function<bool(const ParameterPlace&)> owned, TensorView scalars, TensorView tied_buffer);

  // Clears gradients and scalars. `targets`: unmasked targets of the global batch.
  void begin_step(double learning_rate, double targets);
  // Sums gradients and losses over the ranks and takes the global norm; the gradients then are those of the global batch.
  void reduce();
  void update();
  StepScalars read();  // waits

  std::int64_t updates() const { return updates_; }
  void set_updates(std::int64_t updates) { updates_ = updates; }

 private:
  void exchange_tied(const Bucket& bucket);
  TensorView scalar(StepScalar which) const { return range_of(scalars_, static_cast<std::int64_t>(which), 1); }

  OptimizerConfig config_;
  ParameterStore& store_;
  Backend& backend_;
  OptimizerGroups groups_;
  std::function<bool(const ParameterPlace&)> owned_;
  TensorView scalars_, tied_buffer_;
  std::int64_t updates_ = 0;
};

}  // namespace headwater
