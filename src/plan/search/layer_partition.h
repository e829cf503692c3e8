#pragma once
// How many layers each stage of a 1F1B pipeline takes, and which of them are recomputed, so that a step is
// shortest under the memory of each device: over all layouts, exactly, where links take no time.
//
// A step's time is its longest chain of forwards and backwards. Chains that bend around one stage only are a
// bound from below that adds up stage by stage, from the last to the first; of recomputation a stage takes
// the least that fits. Dynamic programming finds what bounds each suffix of stages can have. Layouts are then
// tried in the order of their bound, each timed exactly, until no bound is left below the best: mostly the
// first one or two prove it.

#include "stage_costs.h"

namespace headwater {

struct StageChoice {
  int layers = 0;
  StageRecompute recompute;
  bool operator==(const StageChoice&) const = default;
};

struct Partition {
  std::vector<StageChoice> stages;
  double seconds = 0.0;  // of a step: forwards and backwards, without links, sums over replicas and update
};

struct PartitionResult {
  std::vector<Partition> best;  // those that were timed, fastest first; empty: nothing fits
  double bound = 0.0;           // no layout is faster
  bool proved() const { return !best.empty() && best.front().seconds <= bound * (1.0 + 1e-9); }
};

// Keeps the `how_many` fastest that it meets. After `effort` timed actions it gives up the proof; the bound
// says what may be missed.
PartitionResult best_partitions(const PartitionProblem& problem, std::size_t how_many = 1,
                                std::int64_t effort = 100'000'000);

}  // namespace headwater
