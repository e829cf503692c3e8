#include "receive_order.h"

#include <algorithm>

namespace headwater {
namespace {

// Returns everything that rank `from` sends to rank `to`, in the order in which it is computed.
std::vector<StageMessage> link(const Schedule& schedule, int from, int to) {
  std::vector<StageMessage> messages;
  for (const Action& action : schedule.actions[static_cast<std::size_t>(from)]) {
    const auto message = output_of(action, schedule.placement.stages());
    if (message && schedule.placement.rank_of(message->to_stage) == to) messages.push_back(*message);
  }
  return messages;
}

}  // namespace

ReceiveOrder::ReceiveOrder(const Schedule& schedule, const UnitTimes& times)
    : times_(times), number_(schedule), before_(schedule.actions.size()), starts_(number_.count()) {
  for (int rank = 0; rank < schedule.placement.ranks(); ++rank) order(rank, schedule);
}

void ReceiveOrder::order(int rank, const Schedule& schedule) {
  const Placement& placement = schedule.placement;
  const auto& actions = schedule.actions[static_cast<std::size_t>(rank)];
  auto& before = before_[static_cast<std::size_t>(rank)];
  before.resize(actions.size());

  std::vector<std::vector<StageMessage>> links;
  for (int from = 0; from < placement.ranks(); ++from) links.push_back(link(schedule, from, rank));
  std::vector<std::size_t> started(links.size(), 0);

  for (int i = 0; i < static_cast<int>(actions.size()); ++i) {
    const auto input = input_of(actions[static_cast<std::size_t>(i)], placement.stages());
    if (!input) continue;
    const int from = placement.rank_of(input->from_stage);
    if (from == rank) continue;
    const auto& messages = links[static_cast<std::size_t>(from)];
    auto& next = started[static_cast<std::size_t>(from)];
    const auto found =
        std::find(messages.begin() + static_cast<std::ptrdiff_t>(next), messages.end(), *input);
    if (found == messages.end()) continue;  // it was started already, with a message that is read earlier
    const int ahead = std::max(i - 1, 0);
    for (const auto end = static_cast<std::size_t>(found - messages.begin()) + 1; next < end; ++next) {
      before[static_cast<std::size_t>(ahead)].push_back(messages[next]);
      starts_[number_(messages[next])] = ahead == 0 ? 0 : times_.end({rank, ahead - 1});
    }
  }
}

}  // namespace headwater
