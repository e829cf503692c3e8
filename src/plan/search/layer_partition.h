#pragma once
// Finds how many layers each stage of a 1F1B pipeline takes, and which of them it recomputes, so that a step
// is shortest under the memory of each device. Where links take no time the result is the best of all
// layouts.
//
// A step takes as long as its longest chain of forwards and backwards. The chains that leave a stage for the
// later stages at most once at the start and once at the end bound that from below, and this bound can be
// added up stage by stage, from the last to the first. A stage recomputes the least with which it fits.
// Dynamic programming finds which bounds each suffix of stages can have. Layouts are then timed exactly in
// the order of their bounds, until no bound is below the best time: mostly the first one or two layouts prove
// it.

#include "stage_costs.h"

namespace headwater {

struct StageChoice {
  int layers = 0;
  StageRecompute recompute;
  bool operator==(const StageChoice&) const = default;
};

struct Partition {
  std::vector<StageChoice> stages;
  double seconds = 0.0;  // of a step's forwards and backwards; without links, sums over replicas and update
};

struct PartitionResult {
  std::vector<Partition> best;  // the fastest that were timed, in order; empty: nothing fits
  double bound = 0.0;           // no layout is faster
  bool proved() const { return !best.empty() && best.front().seconds <= bound * (1.0 + 1e-9); }
};

// Keeps the `how_many` fastest layouts that it times. After timing `effort` actions it gives up the proof;
// `bound` then says how fast a layout that it missed may be.
PartitionResult best_partitions(const PartitionProblem& problem, std::size_t how_many = 1,
                                std::int64_t effort = 100'000'000);

}  // namespace headwater
