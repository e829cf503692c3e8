#pragma once
// How many samples a step takes, and how that number grows at the start of a run.
//
// training.rampup_batch_size, [start, increment, samples], is Megatron-LM's rule. The size of a step follows
// from the samples consumed before it alone, so that a resume goes on as the run would have.

#include "headwater/config/run_config.h"

#include <cstdint>
#include <vector>

namespace headwater {

// Replicas of the model that `ranks` ranks hold. UserError where the ranks do not divide.
std::int64_t data_parallel_size(const ParallelConfig& parallel, int ranks);

// Samples of a full step: training.global_batch_size, or one micro-batch for each replica where that is 0.
// UserError where the replicas cannot share it in whole micro-batches.
std::int64_t global_batch_size(const RunConfig& run, int ranks);

class BatchRamp {
 public:
  // The batch grows from `start` to `full` samples by `increment`, in steps that each last an equal part of
  // the first `samples` samples. With `start` = `full` it never grows.
  BatchRamp(std::int64_t start, std::int64_t increment, std::int64_t samples, std::int64_t full);

  // Samples of the step that begins when `consumed` samples have been consumed.
  std::int64_t batch_after(std::int64_t consumed) const;
  std::int64_t full() const { return full_; }
  std::vector<std::int64_t> smaller() const;  // every size before the full one, ascending

 private:
  std::int64_t start_, increment_, samples_, full_;
};

// UserError where a step of any of its sizes cannot be shared out to the replicas in whole micro-batches.
BatchRamp batch_ramp(const RunConfig& run, int ranks);

}  // namespace headwater
