#include "last_words.h"

#include <fmt/format.h>

#include <unistd.h>
#include <algorithm>

namespace headwater::comm {
namespace {

constexpr double kCollect = 0.15;  // several ranks often fail at once
constexpr double kRankZeroSilent = 2.0;
constexpr double kPerRank = 0.05;
constexpr double kLongest = 3.0;
constexpr double kOtherSpeaks = 1.0;  // its line and its exit code have reached the launcher by then

}  // namespace

void print_error_line(std::string_view message) {
  std::string line = fmt::format("headwater: error: {}", message);
  std::replace(line.begin(), line.end(), '\n', ' ');
  line += '\n';
  for (std::size_t written = 0; written < line.size();) {
    const ssize_t count = ::write(STDERR_FILENO, line.data() + written, line.size() - written);
    if (count <= 0) return;  // nobody reads
    written += static_cast<std::size_t>(count);
  }
}

LastWords::LastWords(int rank, EndJob end_job) : rank_(rank), end_job_(std::move(end_job)) {}

void LastWords::this_rank_failed(const Failure& failure, double now) {
  own_ = now;
  if (reasons_.empty()) first_ = now;
  reasons_.push_back({rank_, failure});
}

void LastWords::other_rank_failed(int rank, const Failure& failure, double now) {
  if (reasons_.empty()) first_ = now;
  reasons_.push_back({rank, failure});
}

void LastWords::other_rank_speaks(double now) { heard_speaker_ = now; }

LastWords::Turn LastWords::turn(double now) const {
  if (reasons_.empty() || (rank_ != 0 && own_ == 0.0)) return Turn::wait;
  // Rank 0 too: a launcher that ends the job wakes who was stopped.
  if (heard_speaker_ > 0.0) return now >= heard_speaker_ + kOtherSpeaks ? Turn::leave : Turn::wait;
  const double due =
      rank_ == 0 ? first_ + kCollect : own_ + std::min(kRankZeroSilent + kPerRank * rank_, kLongest);
  return now >= due ? Turn::speak : Turn::wait;
}

// The first, but a lost peer (4) is often only what others see of another failure; of the same reason on
// several ranks, the lowest rank's.
const LastWords::Reason& LastWords::best() const {
  const Reason* best = &reasons_.front();
  for (const Reason& reason : reasons_)
    if (best->failure.exit_code == 4 && reason.failure.exit_code != 4) best = &reason;
  for (const Reason& reason : reasons_)
    if (reason.failure.message == best->failure.message && reason.rank < best->rank) best = &reason;
  return *best;
}

void LastWords::speak() {
  const Reason& reason = best();
  const std::string prefix = reason.rank == 0 ? "" : fmt::format("rank {}: ", reason.rank);
  end_job_(prefix + reason.failure.message, reason.failure.exit_code);
}

void LastWords::leave() { end_job_("", best().failure.exit_code); }

}  // namespace headwater::comm
