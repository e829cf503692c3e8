#include "failure_arbiter.h"

#include "headwater/base/error.h"

#include <unistd.h>
#include <algorithm>

namespace headwater::comm {
namespace {

constexpr double kCollect = 0.15;  // rank 0 collects this long, as several ranks often fail at once
constexpr double kRankZeroSilent = 2.0;
constexpr double kPerRank = 0.05;
constexpr double kLongest = 3.0;
constexpr double kGivesWay = 1.0;  // to another failed rank that should report first
constexpr double kListens = 0.05;  // a rank whose time has come first reads what came while it was stopped
constexpr double kOtherReports = 1.0;  // the other's line and exit code have reached the launcher by then

}  // namespace

void print_error_line(std::string_view message) {
  std::string line = fmt::format("headwater: error: {}", message);
  std::replace(line.begin(), line.end(), '\n', ' ');
  line += '\n';
  for (std::size_t written = 0; written < line.size();) {
    const ssize_t count = ::write(STDERR_FILENO, line.data() + written, line.size() - written);
    if (count <= 0) return;  // standard error is closed
    written += static_cast<std::size_t>(count);
  }
}

FailureArbiter::FailureArbiter(int rank, EndJob end_job) : rank_(rank), end_job_(std::move(end_job)) {}

void FailureArbiter::this_rank_failed(const Failure& failure, double now) {
  own_failure_ = now;
  only_follows_ = failure.exit_code == CommError::kExitCode && !reasons_.empty();
  if (reasons_.empty()) first_failure_ = now;
  reasons_.push_back({rank_, failure});
}

void FailureArbiter::other_rank_failed(int rank, const Failure& failure, double now) {
  if (reasons_.empty()) first_failure_ = now;
  reasons_.push_back({rank, failure});
}

void FailureArbiter::other_rank_reports(double now) { heard_other_report_ = now; }

FailureArbiter::Action FailureArbiter::next_action(double now) {
  if (reasons_.empty() || (rank_ != 0 && own_failure_ == 0.0)) return Action::wait;
  // This holds for rank 0 too. If it was stopped, a launcher that ends the job wakes it after another rank
  // has reported.
  if (heard_other_report_ > 0.0)
    return now >= heard_other_report_ + kOtherReports ? Action::leave : Action::wait;
  if (now < turn()) return Action::wait;
  if (turn_noticed_ == 0.0) turn_noticed_ = now;
  return now >= turn_noticed_ + kListens ? Action::report : Action::wait;
}

double FailureArbiter::turn() const {
  if (rank_ == 0) return first_failure_ + kCollect;
  const bool another_is_first = std::any_of(reasons_.begin(), reasons_.end(), [&](const Reason& reason) {
    return reason.rank < rank_ || (reason.rank > rank_ && only_follows_);
  });
  return own_failure_ + std::min(kRankZeroSilent + kPerRank * rank_, kLongest) +
         (another_is_first ? kGivesWay : 0.0);
}

// Returns the reason that arrived first, but a lost peer (CommError) gives way to any other kind of failure,
// as it is often only what other ranks see of that one. If several ranks give the same reason, it is the
// lowest rank's.
const FailureArbiter::Reason& FailureArbiter::best_reason() const {
  const Reason* best = &reasons_.front();
  for (const Reason& reason : reasons_)
    if (best->failure.exit_code == CommError::kExitCode && reason.failure.exit_code != CommError::kExitCode)
      best = &reason;
  for (const Reason& reason : reasons_)
    if (reason.failure.message == best->failure.message && reason.rank < best->rank) best = &reason;
  return *best;
}

void FailureArbiter::report() {
  const Reason& reason = best_reason();
  const std::string prefix = reason.rank == 0 ? "" : fmt::format("rank {}: ", reason.rank);
  end_job_(prefix + reason.failure.message, reason.failure.exit_code);
}

void FailureArbiter::leave() { end_job_("", best_reason().failure.exit_code); }

}  // namespace headwater::comm
