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
  // The most of each kind of slot that is in use at one time.
  PerChunk in_flight;         // held by forwards whose input gradient is due
  PerChunk kept_for_weights;  // held by forwards whose weight gradient is due
  PerChunk delayed_weights;   // held by input gradients whose weight gradient is due
  // By rank: the most forwards, over all its chunks at one time, whose backward has not come to its end.
  std::vector<int> held;
  // The sentence says what is wrong, naming rank, action and peer. It is absent where the program is proved.
  std::optional<std::string> fault;
};

// Plays the programs of all ranks against each other. Where it finds a fault, the counts end there.
ScheduleReport check(const LoweredSchedule& lowered);

}  // namespace headwater
