#pragma once
// A schedule played once in integer time, as if transfers took none and buffers never ran out: a forward
// takes 1, a backward 2, each of its halves 1. The lowering lets one buffer follow another only where this
// play has the first message out of the way in time, so that no wait for a buffer can point backwards: a
// schedule that is possible stays free of deadlock however few buffers its lowering uses.

#include "message.h"

#include <cstdint>
#include <vector>

namespace headwater {

// Where an action stands: the index-th of its rank's list.
struct ActionPlace {
  int rank = -1, index = -1;
};

struct MessageRoute {
  ActionPlace producer, consumer;
};

class IdealPlay {
 public:
  // Throws InternalError where the schedule is impossible or names an action twice.
  explicit IdealPlay(const Schedule& schedule);

  // A dense number of a message: by payload, micro-batch and the stage that it goes to.
  std::size_t number(const StageMessage& message) const;
  std::size_t numbers() const { return routes_.size(); }
  const MessageRoute& route(const StageMessage& message) const { return routes_[number(message)]; }
  std::int64_t start(ActionPlace place) const { return end(place) - cost(place); }
  std::int64_t end(ActionPlace place) const { return ends_[as_index(place.rank)][as_index(place.index)]; }

 private:
  static std::size_t as_index(int i) { return static_cast<std::size_t>(i); }
  std::int64_t cost(ActionPlace place) const;
  void find_routes();
  void run();

  const Schedule& schedule_;
  std::vector<MessageRoute> routes_;             // by number(message)
  std::vector<std::vector<std::int64_t>> ends_;  // [rank][index]
};

}  // namespace headwater
