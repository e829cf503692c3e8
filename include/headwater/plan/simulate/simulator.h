#pragma once
// Plays a lowered schedule against the clock, event by event, as the engine would. A rank does one thing
// after the other, and transfers go on beside it. A transfer begins once both its ends have started it and
// the links of both devices are free, and takes latency + bytes / bandwidth. A device sends one message at a
// time and receives one at a time; its links inside the node and between nodes work independently.
//
// A pure function, with the same result on every machine: of events at equal times that of the lower rank
// comes first.

#include "headwater/plan/cost/step_costs.h"
#include "headwater/schedule/lowering.h"

#include <vector>

namespace headwater {

struct ComputeSpan {
  Action action;
  double begin = 0.0, end = 0.0;
};

struct TransferSpan {
  Transfer transfer;  // as its receiver sees it: `peer` sends
  int to_rank = 0;
  double begin = 0.0, end = 0.0;
};

struct RankTimes {
  ActionSeconds busy;
  double waiting = 0.0;  // for transfers, until its part of the schedule is over
  double end = 0.0;
  double bytes_sent = 0.0;
  std::vector<ComputeSpan> computes;
};

struct Simulation {
  double end = 0.0;                     // of the last rank
  std::vector<RankTimes> ranks;         // by pipeline rank
  std::vector<TransferSpan> transfers;  // in the order in which both ends had started
  // The share of the ranks' time in which they do not compute: the mean over the ranks of 1 − m(F + B + W)/T,
  // for m micro-batches and a step of T seconds.
  double bubble_fraction() const;
};

// `stages` has the costs of each virtual stage. The schedule must be proved (schedule/checker.h).
Simulation simulate(const LoweredSchedule& lowered, const std::vector<PassSeconds>& stages,
                    const PipelineNetwork& network);

}  // namespace headwater
