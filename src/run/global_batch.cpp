#include "headwater/run/global_batch.h"

#include "headwater/base/error.h"
#include "headwater/base/nearest.h"
#include "headwater/layout/process_grid.h"

#include <fmt/ranges.h>

namespace headwater {

std::int64_t data_parallel_size(const ParallelConfig& parallel, int ranks) {
  return ProcessGrid::make(ranks, static_cast<int>(parallel.tensor_model_parallel_size), 1,
                           static_cast<int>(parallel.pipeline_model_parallel_size))
      .size(Axis::data);
}

std::int64_t global_batch_size(const RunConfig& run, int ranks) {
  const std::int64_t data = data_parallel_size(run.parallel, ranks);
  const std::int64_t micro = run.training.micro_batch_size, per_round = micro * data;
  if (run.training.global_batch_size == 0) return per_round;
  if (run.training.global_batch_size % per_round != 0)
    throw UserError(
        "training.global_batch_size is {}: it must be a multiple of training.micro_batch_size {} x "
        "data-parallel size {} = {}, "
        "such as {}",
        run.training.global_batch_size, micro, data, per_round,
        nearest_multiple(run.training.global_batch_size, per_round));
  return run.training.global_batch_size;
}

BatchRamp::BatchRamp(std::int64_t start, std::int64_t increment, std::int64_t samples, std::int64_t full)
    : start_(start), increment_(increment), samples_(samples), full_(full) {
  HW_CHECK(start == full || (start < full && increment > 0 && (full - start) % increment == 0 && samples > 0),
           "a batch from {} by {} in {} samples to {}", start, increment, samples, full);
}

// Megatron-LM, core/num_microbatches_calculator.py: each increment lasts samples / increments, in whole
// numbers here.
std::int64_t BatchRamp::batch_after(std::int64_t consumed) const {
  if (start_ == full_ || consumed >= samples_) return full_;
  const std::int64_t increments = (full_ - start_) / increment_;
  return start_ + consumed * increments / samples_ * increment_;
}

std::vector<std::int64_t> BatchRamp::smaller() const {
  std::vector<std::int64_t> sizes;
  for (std::int64_t size = start_; size < full_; size += increment_) sizes.push_back(size);
  return sizes;
}

BatchRamp batch_ramp(const RunConfig& run, int ranks) {
  const std::int64_t full = global_batch_size(run, ranks);
  const std::vector<std::int64_t>& ramp = run.training.rampup_batch_size;
  if (ramp.empty()) return {full, 0, 0, full};

  const std::int64_t start = ramp[0], increment = ramp[1], replicas = data_parallel_size(run.parallel, ranks);
  const std::int64_t micro = run.training.micro_batch_size, per_round = micro * replicas;
  const auto refuse = [&](const char* what, std::int64_t size, std::int64_t nearest) {
    throw UserError(
        "training.rampup_batch_size is [{}]: its {} {} must be a multiple of training.micro_batch_size {} x "
        "data-parallel size {} = {}, such as {}",
        fmt::join(ramp, ","), what, size, micro, replicas, per_round, nearest);
  };
  if (start % per_round != 0) refuse("start", start, nearest_multiple(start, per_round));
  if (start < full && increment % per_round != 0)
    refuse("increment", increment, nearest_divisor(increment, full - start, per_round));
  return {start, increment, ramp[2], full};
}

}  // namespace headwater
