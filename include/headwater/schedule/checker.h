#pragma once
// Proves a lowered schedule: every (micro-batch, stage) computed once in each direction and in a possible
// order; no deadlock even when a send completes only at its matching receive; both ends of each link use it
// in the same order; no buffer or slot is written while in use; nothing is left unsent, unreceived or
// unwaited. Reports the peak of micro-batches in flight (and of delayed weight gradients) per rank and chunk.

#include "headwater/schedule/lowering.h"

#include <optional>
#include <string>
#include <vector>

namespace headwater {

struct ScheduleReport {
  std::vector<std::vector<int>> in_flight;  // [rank][chunk]: peak of slots in use
  std::vector<std::vector<int>>
      delayed_weights;               // [rank][chunk]: peak of input gradients whose weight gradient is due
  std::optional<std::string> fault;  // what is wrong, naming rank, action and peer; nothing: proved
};

ScheduleReport check(const LoweredSchedule& lowered);

}  // namespace headwater
