#pragma once
// Plays a lowered schedule against the clock, event by event, as the engine would: a rank does one thing
// after the other, transfers go on beside it. A transfer begins once both its ends have started it and both
// devices' links are free (each device sends one message at a time, and receives one, inside its node and
// between nodes apart), and takes latency + bytes / bandwidth.
//
// Pure and the same on every machine: equal times are told apart by the order of the ranks.

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
  double waiting = 0.0;  // for transfers, up to its end
  double end = 0.0;
  double bytes_sent = 0.0;
  std::vector<ComputeSpan> computes;
};

struct Simulation {
  double end = 0.0;                     // of the last rank
  std::vector<RankTimes> ranks;         // by pipeline rank
  std::vector<TransferSpan> transfers;  // in the order in which both ends had started
  // 1 − m(F + B + W)/T, the mean over the ranks: the share of their time in which they do not compute.
  double bubble_fraction() const;
};

// `stages`: by virtual stage. The schedule must be proved (schedule/checker.h).
Simulation simulate(const LoweredSchedule& lowered, const std::vector<PassSeconds>& stages,
                    const PipelineNetwork& network);

}  // namespace headwater
