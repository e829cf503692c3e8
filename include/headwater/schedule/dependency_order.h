#pragma once
// All actions of a schedule in one order in which each comes after what it waits for: the action before it on
// its rank, and the one that makes its input. Whoever times a schedule, whatever its actions take, does so in
// one pass over this order.

#include "headwater/schedule/schedule.h"

#include <vector>

namespace headwater {

struct OrderedAction {
  Action action;
  int rank = 0;
  int input = -1;  // where in the order its input is made; −1: it reads none
};

// Ranks take turns, each going through its list as far as its inputs are made. Throws InternalError where a
// rank would wait for ever: the schedule is impossible.
std::vector<OrderedAction> dependency_order(const Schedule& schedule);

}  // namespace headwater
