#pragma once
// The line of the log that says how training goes: Megatron-LM's fields in its order, then tokens/s, MFU and
// the time left. A line averages over the steps since the line before.
//
// Rank 0 alone holds a ProgressLog; used by one thread.

#include "headwater/train/log/metrics.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace headwater {

class ProgressLog {
 public:
  ProgressLog(std::int64_t train_iters, std::int64_t log_interval);

  // Adds a step. Returns a line at every multiple of log_interval and at the last step.
  std::optional<std::string> add(const StepMetrics& step);

  // Estimates the seconds until the last step from the recent steps. A step counts as twice their median at
  // most, so that one slow step changes little.
  double seconds_left() const;

 private:
  // Sums since the last line.
  struct Interval {
    std::int64_t steps = 0, applied = 0, not_finite = 0;
    double loss = 0.0;  // of the applied steps
    double elapsed_ms = 0.0, tokens = 0.0;
    double mfu_ms = 0.0;  // Σ MFU · elapsed_ms
  };
  std::string line(const StepMetrics& step) const;

  std::int64_t train_iters_, log_interval_;
  std::int64_t step_ = 0;  // the last one added
  Interval interval_;
  std::vector<double> recent_ms_;  // a ring of the last steps' times
  std::size_t next_recent_ = 0;
};

}  // namespace headwater
