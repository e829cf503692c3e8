#include "liveness_poll.h"

#include <algorithm>

namespace headwater::comm {
namespace {

std::string list_ranks(const std::vector<int>& ranks, const std::vector<std::string>& hosts) {
  constexpr std::size_t kShown = 8;
  std::string out = ranks.size() == 1 ? "rank " : "ranks ";
  for (std::size_t i = 0; i < std::min(ranks.size(), kShown); ++i)
    out += fmt::format("{}{} ({})", i == 0 ? "" : ", ", ranks[i], hosts[static_cast<std::size_t>(ranks[i])]);
  if (ranks.size() > kShown) out += fmt::format(" and {} more", ranks.size() - kShown);
  return out;
}

}  // namespace

LivenessPoll::LivenessPoll(std::uint64_t number, int rank, int ranks, std::optional<Call> call,
                           double deadline, Conclude conclude)
    : number_(number),
      rank_(rank),
      call_(std::move(call)),
      deadline_(deadline),
      conclude_(std::move(conclude)),
      answers_(static_cast<std::size_t>(ranks)) {}

ControlMessage LivenessPoll::question_for(int rank) const {
  ControlMessage question;
  question.question = number_;
  if (call_) {
    const auto& ranks = call_->group->ranks;
    const auto member = std::find(ranks.begin(), ranks.end(), rank);
    const std::vector<int> needed = needed_ranks();
    if (std::find(needed.begin(), needed.end(), rank) != needed.end())
      question.channel = call_->group->channels[static_cast<std::size_t>(member - ranks.begin())];
    question.kind = call_->kind;
    question.sequence = call_->sequence;
  }
  return question;
}

void LivenessPoll::take_answer(int rank, const ControlMessage& answer) {
  answers_[static_cast<std::size_t>(rank)] = answer;
}

bool LivenessPoll::all_answered() const {
  for (std::size_t rank = 0; rank < answers_.size(); ++rank)
    if (static_cast<int>(rank) != rank_ && !answers_[rank]) return false;
  return true;
}

bool LivenessPoll::over(double now) const { return now >= deadline_ || all_answered(); }

std::vector<int> LivenessPoll::needed_ranks() const {
  std::vector<int> ranks;
  for (int member = 0; member < call_->group->size(); ++member)
    if (member != call_->group->index && (call_->kind == CallKind::collective || member == call_->peer))
      ranks.push_back(call_->group->world_rank(member));
  return ranks;
}

// Looks for a rank that made another collective call in the place of this one.
std::string LivenessPoll::why_though_all_came(const std::vector<std::string>& hosts) const {
  if (call_->kind == CallKind::collective)
    for (const int rank : needed_ranks()) {
      const std::string& other = answers_[static_cast<std::size_t>(rank)]->text;
      if (!other.empty() && other != call_->content())
        return fmt::format("{} makes {} there, where rank {} makes {}", list_ranks({rank}, hosts), other,
                           rank_, call_->content());
    }
  return "all ranks came, but the data did not";
}

std::string LivenessPoll::who_did_not_come(const std::vector<std::string>& hosts) const {
  const auto select = [this](const std::vector<int>& from, auto&& condition) {
    std::vector<int> chosen;
    for (const int rank : from)
      if (condition(answers_[static_cast<std::size_t>(rank)])) chosen.push_back(rank);
    return chosen;
  };
  std::vector<int> others;
  for (int rank = 0; rank < static_cast<int>(answers_.size()); ++rank)
    if (rank != rank_) others.push_back(rank);

  const auto silent = select(others, [](const auto& answer) { return !answer; });
  if (!silent.empty())
    return fmt::format("{} did not come and {} not answer", list_ranks(silent, hosts),
                       silent.size() == 1 ? "does" : "do");
  const auto missing = select(needed_ranks(), [](const auto& answer) { return !answer->came; });
  if (missing.empty()) return why_though_all_came(hosts);
  const auto idle = [](const auto& answer) { return !answer->waits; };
  if (const auto late = select(missing, idle); !late.empty())
    return list_ranks(late, hosts) + " did not come";
  if (const auto busy = select(others, idle); !busy.empty())
    return fmt::format("{} did not come, held up by {}", list_ranks(missing, hosts), list_ranks(busy, hosts));
  return list_ranks(missing, hosts) + " did not come and waits elsewhere: the ranks make different calls";
}

}  // namespace headwater::comm
