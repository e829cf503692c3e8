#pragma once
// Finds the fastest way to share a run out over a cluster's devices that fits into their memory.
//
// The search sorts all ways (ways_to_share.h) by their ideal step. It estimates the first of them, with
// balanced stages and the critical path. For the best of these it searches the layers of each stage
// (layer_search.h), and times them by the simulator. Nothing depends on the clock: the same question has the
// same answer.

#include "headwater/plan/search/ways_to_share.h"
#include "headwater/plan/simulate/plan.h"

#include <string>
#include <vector>

namespace headwater {

struct SearchResult {
  std::vector<Plan> plans;                             // fastest first, each of another way
  std::vector<std::string> reasons;                    // why the fastest is not faster (search_reasons.h)
  std::size_t ways = 0, estimated = 0, simulated = 0;  // how many were looked at, and how closely
  const Plan& best() const { return plans.front(); }
};

// UserError where nothing fits, saying what is short by how much on which stage.
SearchResult search(const SearchRequest& request);

}  // namespace headwater
