#pragma once
// Finds the layers and the recomputation of every virtual stage of a way (ways_to_share.h), so that every
// rank fits and the simulated step is shortest.
//
// The candidates are balanced layouts (balanced_layouts.h), for 1F1B also the best by dynamic programming
// (layer_partition.h), and what hill climbing makes of them by their critical paths. The simulator plays
// the best candidates, and hill climbing goes on by its times. The result is exact for 1F1B where links are
// free and the end of a step takes as long on every rank. For other cases tests compare it with every layout
// there is, on small problems.

#include "headwater/plan/simulate/plan.h"

#include <cstdint>
#include <optional>

namespace headwater {

struct LayerSearchOptions {
  // True: each stage recomputes what the request says. False: the least with which it fits.
  bool keep_recompute = false;
  // Actions that critical paths may be made of. The simulator may take a fiftieth of them.
  std::int64_t effort = 8'000'000;
};

// Returns the plan with the best layers; nothing where no layout fits. The layout that `request` names does
// not matter, nor does its recomputation unless it is kept. UserError where the way is impossible.
std::optional<Plan> search_layers(const PlanRequest& request, const LayerSearchOptions& options = {});

// Estimates the seconds of a step in a fraction of the time; nothing where probably no layout fits.
std::optional<double> estimate_step(const PlanRequest& request, const LayerSearchOptions& options = {});

}  // namespace headwater
