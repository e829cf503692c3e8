#pragma once
// The layers, and the recomputation, of every virtual stage of a run whose other axes are chosen: so that a
// step is shortest by the simulator, and every rank fits.
//
// Candidates are balanced layouts, for 1F1B also the best by dynamic programming (layer_partition.h), and
// what they become by moving layers under the quick play. The best of them are played by the simulator, and
// layers moved once more under it. For 1F1B without links and without ends of a step that differ, the result
// is exact; elsewhere tests hold it against every layout there is, on small problems.

#include "headwater/plan/simulate/plan.h"

#include <cstdint>
#include <optional>

namespace headwater {

struct LayerSearchOptions {
  bool keep_recompute = false;      // what the request says of each stage; otherwise the least that fits
  std::int64_t effort = 8'000'000;  // actions that quick plays may take; the simulator gets a fiftieth
};

// The request's own layout does not matter, nor does its recomputation where that is free. Nothing: no layout
// fits. UserError where its axes are impossible.
std::optional<Plan> search_layers(const PlanRequest& request, const LayerSearchOptions& options = {});

// About how long a step takes, in a fraction of the time; nothing: probably no layout fits.
std::optional<double> estimate_step(const PlanRequest& request, const LayerSearchOptions& options = {});

}  // namespace headwater
