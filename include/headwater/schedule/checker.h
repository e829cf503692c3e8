#pragma once
// Proves a lowered schedule: every (micro-batch, stage) computed once in each direction and in a possible
// order; no deadlock even when a send completes only at its matching receive; both ends of each link use it
// in the same order; no buffer or slot is written while in use; nothing is left unsent, unreceived or
// unwaited. Reports how many slots of each lifetime (lowering.h) are in use at most, which is what a rank's
// memory is made of, and the most that it holds at one time, which is what the schedule itself needs.

#include "headwater/schedule/lowering.h"

#include <optional>
#include <string>
#include <vector>

namespace headwater {

struct ScheduleReport {
  using PerChunk = std::vector<std::vector<int>>;  // [rank][chunk]
  PerChunk in_flight;                              // forwards whose input gradient is due
  PerChunk kept_for_weights;                       // forwards whose weight gradient is due
  PerChunk delayed_weights;                        // input gradients whose weight gradient is due
  std::vector<int>
      held;  // [rank]: forwards, of all chunks at one time, whose backward has not come to its end
  std::optional<std::string> fault;  // what is wrong, naming rank, action and peer; nothing: proved
};

ScheduleReport check(const LoweredSchedule& lowered);

}  // namespace headwater
