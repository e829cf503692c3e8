#pragma once
// Unit times say when each action of a schedule starts and ends in integer time, as if transfers took none
// and buffers never ran out: a forward takes 1, a backward 2, each of its halves 1. The lowering lets a
// message follow another in a buffer only where by these times the first is out of the way, so that no wait
// for a buffer can point backwards: a schedule that is possible stays free of deadlock however few buffers
// its lowering uses.

#include "headwater/schedule/message.h"

#include <cstdint>
#include <vector>

namespace headwater {

// The place of an action: it is the index-th of its rank's list.
struct ActionPlace {
  int rank = -1, index = -1;
};

struct MessageRoute {
  ActionPlace producer, consumer;
};

class UnitTimes {
 public:
  // Throws InternalError where the schedule is impossible or names an action twice.
  explicit UnitTimes(const Schedule& schedule);

  const MessageRoute& route(const StageMessage& message) const { return routes_[number_(message)]; }
  std::int64_t start(ActionPlace place) const {
    return end(place) - cost(schedule_.actions[as_index(place.rank)][as_index(place.index)]);
  }
  std::int64_t end(ActionPlace place) const { return ends_[as_index(place.rank)][as_index(place.index)]; }

 private:
  static std::size_t as_index(int i) { return static_cast<std::size_t>(i); }
  static std::int64_t cost(const Action& action);
  void find_routes();
  void run();

  const Schedule& schedule_;
  const MessageNumbers number_;
  std::vector<MessageRoute> routes_;             // by number_(message)
  std::vector<std::vector<std::int64_t>> ends_;  // [rank][index]
};

}  // namespace headwater
