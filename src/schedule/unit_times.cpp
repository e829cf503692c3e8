#include "unit_times.h"

#include "headwater/base/error.h"
#include "headwater/schedule/dependency_order.h"

#include <algorithm>

namespace headwater {

UnitTimes::UnitTimes(const Schedule& schedule) : schedule_(schedule), number_(schedule) {
  HW_CHECK(static_cast<int>(schedule.actions.size()) == schedule.placement.ranks(),
           "schedule {} lists {} ranks, its placement {}", schedule.name, schedule.actions.size(),
           schedule.placement.ranks());
  find_routes();
  run();
}

std::int64_t UnitTimes::cost(const Action& action) { return action.kind == ActionKind::backward ? 2 : 1; }

void UnitTimes::find_routes() {
  const int stages = schedule_.placement.stages();
  routes_.resize(number_.count());
  const auto take = [](ActionPlace& end, ActionPlace place, const Action& action) {
    HW_CHECK(end.rank < 0, "the {} is scheduled twice", describe(action));
    end = place;
  };
  for (int rank = 0; rank < schedule_.placement.ranks(); ++rank) {
    const auto& actions = schedule_.actions[as_index(rank)];
    for (int i = 0; i < static_cast<int>(actions.size()); ++i) {
      const Action& action = actions[as_index(i)];
      HW_CHECK(action.micro_batch >= 0 && action.micro_batch < schedule_.micro_batches && action.stage >= 0 &&
                   action.stage < stages && schedule_.placement.rank_of(action.stage) == rank,
               "the {} is not one of rank {}'s", describe(action), rank);
      if (const auto in = input_of(action, stages)) take(routes_[number_(*in)].consumer, {rank, i}, action);
      if (const auto out = output_of(action, stages))
        take(routes_[number_(*out)].producer, {rank, i}, action);
    }
  }
  for (const MessageRoute& route : routes_)
    HW_CHECK(
        (route.producer.rank < 0) == (route.consumer.rank < 0), "the {} has no counterpart",
        route.producer.rank < 0
            ? describe(schedule_.actions[as_index(route.consumer.rank)][as_index(route.consumer.index)])
            : describe(schedule_.actions[as_index(route.producer.rank)][as_index(route.producer.index)]));
}

void UnitTimes::run() {
  ends_.resize(schedule_.actions.size());
  const std::vector<OrderedAction> order = dependency_order(schedule_);
  std::vector<std::int64_t> ends;  // by place in the order
  for (const OrderedAction& ordered : order) {
    auto& of_rank = ends_[as_index(ordered.rank)];
    const std::int64_t before = of_rank.empty() ? 0 : of_rank.back();
    const std::int64_t input = ordered.input < 0 ? 0 : ends[as_index(ordered.input)];
    ends.push_back(std::max(before, input) + cost(ordered.action));
    of_rank.push_back(ends.back());
  }
}

}  // namespace headwater
