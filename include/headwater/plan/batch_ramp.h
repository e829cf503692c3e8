#pragma once
// The global batch of each step while it grows: training.rampup_batch_size, [start, increment, samples], by
// Megatron-LM's rule. It follows from the samples consumed alone, so that a resume goes on as the run would
// have.

#include "headwater/config/run_config.h"

#include <cstdint>
#include <vector>

namespace headwater {

class BatchRamp {
 public:
  // From `start` by `increment` to `full` in equal parts of `samples`; `start` = `full`: always the same.
  BatchRamp(std::int64_t start, std::int64_t increment, std::int64_t samples, std::int64_t full);

  // Samples of the step that comes after `consumed`.
  std::int64_t batch_after(std::int64_t consumed) const;
  std::int64_t full() const { return full_; }
  std::vector<std::int64_t> smaller() const;  // the sizes before the full one

 private:
  std::int64_t start_, increment_, samples_, full_;
};

// UserError where a step of that size cannot be shared out to the replicas in whole micro-batches.
BatchRamp batch_ramp(const RunConfig& run, int ranks);

}  // namespace headwater
