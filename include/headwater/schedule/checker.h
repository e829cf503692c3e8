#pragma once
// Proves a lowered schedule: every (micro-batch, stage) computed once in each direction and in a possible
// order; no deadlock even when a send completes only at its matching receive; both ends of each link use it
// in the same order; no buffer or slot is written while in use; nothing is left unsent, unreceived or
// unwaited. Reports, per rank and chunk, how many slots of each lifetime (lowering.h) are in use at most.

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
  std::optional<std::string> fault;  // what is wrong, naming rank, action and peer; nothing: proved
};

ScheduleReport check(const LoweredSchedule& lowered);

}  // namespace headwater
