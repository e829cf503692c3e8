#pragma once
// The receive order says when every rank starts its receives.
//
// One rank's messages to another are matched in order, so the receiver starts its receives in the order in
// which the sender computes what it sends. The input of an action is started before the action ahead of it,
// and with it all that comes before it on its link, even what is read later.

#include "unit_times.h"

#include <vector>

namespace headwater {

class ReceiveOrder {
 public:
  ReceiveOrder(const Schedule& schedule, const UnitTimes& times);

  // Returns the messages whose receives start right before the action at `place`.
  const std::vector<StageMessage>& before(ActionPlace place) const {
    return before_[static_cast<std::size_t>(place.rank)][static_cast<std::size_t>(place.index)];
  }
  // When the receive of a message starts, in unit times.
  std::int64_t start(const StageMessage& message) const { return starts_[number_(message)]; }

 private:
  void order(int rank, const Schedule& schedule);

  const UnitTimes& times_;
  const MessageNumbers number_;
  std::vector<std::vector<std::vector<StageMessage>>> before_;  // [rank][action]
  std::vector<std::int64_t> starts_;                            // by number_(message)
};

}  // namespace headwater
