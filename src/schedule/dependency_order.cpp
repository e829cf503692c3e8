#include "headwater/schedule/dependency_order.h"

#include "headwater/base/error.h"
#include "headwater/schedule/message.h"

namespace headwater {

std::vector<OrderedAction> dependency_order(const Schedule& schedule) {
  const int stages = schedule.placement.stages();
  const std::size_t ranks = schedule.actions.size();
  const MessageNumbers number(schedule);
  std::vector<OrderedAction> order;
  std::vector<int> made_by(number.count(), -1);  // by message: where in the order; −1: not made yet
  std::vector<std::size_t> next(ranks, 0);       // by rank: the action of its list that comes next
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      for (; next[rank] < schedule.actions[rank].size(); ++next[rank]) {
        OrderedAction ordered{schedule.actions[rank][next[rank]], static_cast<int>(rank), -1};
        if (const auto input = input_of(ordered.action, stages)) {
          ordered.input = made_by[number(*input)];
          if (ordered.input < 0) break;
        }
        if (const auto output = output_of(ordered.action, stages))
          made_by[number(*output)] = static_cast<int>(order.size());
        order.push_back(ordered);
        moved = true;
      }
    }
  }
  for (std::size_t rank = 0; rank < ranks; ++rank)
    HW_CHECK(next[rank] == schedule.actions[rank].size(),
             "schedule {} is impossible: the {} on rank {} waits for ever for its input", schedule.name,
             describe(schedule.actions[rank][next[rank]]), rank);
  return order;
}

}  // namespace headwater
