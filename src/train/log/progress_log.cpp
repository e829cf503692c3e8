#include "headwater/train/log/progress_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace headwater {
namespace {

constexpr std::size_t kRecentSteps = 64;

std::string hours_minutes_seconds(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

}  // namespace

ProgressLog::ProgressLog(std::int64_t train_iters, std::int64_t log_interval)
    : train_iters_(train_iters), log_interval_(log_interval) {}

std::optional<std::string> ProgressLog::add(const StepMetrics& step) {
  step_ = step.step;
  ++interval_.steps;
  if (!std::isfinite(step.loss)) ++interval_.not_finite;
  if (step.applied) {
    ++interval_.applied;
    interval_.loss += step.loss;
  }
  interval_.elapsed_ms += step.elapsed_ms;
  interval_.tokens += step.tokens_per_second * step.elapsed_ms * 1e-3;
  interval_.mfu_ms += step.mfu.value_or(0.0) * step.elapsed_ms;
  if (recent_ms_.size() < kRecentSteps)
    recent_ms_.push_back(step.elapsed_ms);
  else
    recent_ms_[next_recent_++ % kRecentSteps] = step.elapsed_ms;

  if (step_ % log_interval_ != 0 && step_ != train_iters_) return std::nullopt;
  std::string due = line(step);
  interval_ = {};
  return due;
}

double ProgressLog::seconds_left() const {
  if (recent_ms_.empty()) return 0.0;
  std::vector<double> times = recent_ms_;
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  const double limit = 2.0 * *middle;
  double sum = 0.0;
  for (const double time : times) sum += std::min(time, limit);
  return static_cast<double>(train_iters_ - step_) * sum / static_cast<double>(times.size()) * 1e-3;
}

std::string ProgressLog::line(const StepMetrics& step) const {
  const double loss = interval_.applied > 0 ? interval_.loss / static_cast<double>(interval_.applied)
                                            : std::numeric_limits<double>::quiet_NaN();
  std::string text = fmt::format(
      " iteration {:8}/{:8} | consumed samples: {:12} | elapsed time per iteration (ms): {:.1f} | "
      "learning rate: {:.6E} | global batch size: {:5} | lm loss: {:.6E} | grad norm: {:.3f} | "
      "number of skipped iterations: {:3} | number of nan iterations: {:3} | tokens/s: {:.0f} |",
      step.step, train_iters_, step.samples, interval_.elapsed_ms / static_cast<double>(interval_.steps),
      step.lr, step.global_batch, loss, step.grad_norm, interval_.steps - interval_.applied,
      interval_.not_finite, interval_.tokens / (interval_.elapsed_ms * 1e-3));
  if (step.mfu) text += fmt::format(" MFU: {:.1f}% |", 100.0 * interval_.mfu_ms / interval_.elapsed_ms);
  return text + fmt::format(" time left: {} |", hours_minutes_seconds(seconds_left()));
}

}  // namespace headwater
