#include "ideal_play.h"

#include "headwater/base/error.h"

#include <algorithm>

namespace headwater {

IdealPlay::IdealPlay(const Schedule& schedule) : schedule_(schedule) {
  HW_CHECK(static_cast<int>(schedule.actions.size()) == schedule.placement.ranks(),
           "schedule {} lists {} ranks, its placement {}", schedule.name, schedule.actions.size(),
           schedule.placement.ranks());
  find_routes();
  run();
}

std::size_t IdealPlay::number(const StageMessage& message) const {
  const int payload = message.payload == Payload::activation ? 0 : 1;
  return as_index((payload * schedule_.micro_batches + message.micro_batch) * schedule_.placement.stages() +
                  message.to_stage);
}

std::int64_t IdealPlay::cost(ActionPlace place) const {
  return schedule_.actions[as_index(place.rank)][as_index(place.index)].kind == ActionKind::backward ? 2 : 1;
}

void IdealPlay::find_routes() {
  const int stages = schedule_.placement.stages();
  routes_.resize(as_index(2 * schedule_.micro_batches * stages));
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
      if (const auto in = input_of(action, stages)) take(routes_[number(*in)].consumer, {rank, i}, action);
      if (const auto out = output_of(action, stages)) take(routes_[number(*out)].producer, {rank, i}, action);
    }
  }
  for (const MessageRoute& route : routes_)
    HW_CHECK(
        (route.producer.rank < 0) == (route.consumer.rank < 0), "the {} has no counterpart",
        route.producer.rank < 0
            ? describe(schedule_.actions[as_index(route.consumer.rank)][as_index(route.consumer.index)])
            : describe(schedule_.actions[as_index(route.producer.rank)][as_index(route.producer.index)]));
}

// A rank goes on while the input of its next action is there; ranks take turns until none can.
void IdealPlay::run() {
  const int ranks = schedule_.placement.ranks(), stages = schedule_.placement.stages();
  ends_.resize(as_index(ranks));
  for (bool moved = true; moved;) {
    moved = false;
    for (int rank = 0; rank < ranks; ++rank) {
      const auto& actions = schedule_.actions[as_index(rank)];
      auto& ends = ends_[as_index(rank)];
      for (; ends.size() < actions.size(); moved = true) {
        const int index = static_cast<int>(ends.size());
        std::int64_t ready = ends.empty() ? 0 : ends.back();
        if (const auto in = input_of(actions[as_index(index)], stages)) {
          const ActionPlace producer = route(*in).producer;
          if (as_index(producer.index) >= ends_[as_index(producer.rank)].size()) break;
          ready = std::max(ready, end(producer));
        }
        ends.push_back(ready + cost({rank, index}));
      }
    }
  }
  for (int rank = 0; rank < ranks; ++rank) {
    const auto& actions = schedule_.actions[as_index(rank)];
    const std::size_t done = ends_[as_index(rank)].size();
    HW_CHECK(done == actions.size(),
             "schedule {} is impossible: the {} on rank {} waits for ever for its input", schedule_.name,
             describe(actions[done]), rank);
  }
}

}  // namespace headwater
