#pragma once
// The fastest way to share a run out over a cluster's devices that fits into their memory, all axes together.
//
// All ways (axes.h) in the order of what they would take with ideal stages; the first of them are estimated
// with balanced stages and the quick play; the best of those get their layers searched (layer_search.h) and
// are timed by the simulator. Nothing depends on the clock: the same question has the same answer.

#include "headwater/plan/search/ways_to_share.h"
#include "headwater/plan/simulate/plan.h"

#include <string>
#include <vector>

namespace headwater {

struct SearchResult {
  std::vector<Plan> plans;           // fastest first, each with other axes
  std::vector<std::string> reasons;  // what bounds the fastest, the largest first
  std::size_t ways = 0, estimated = 0, simulated = 0;
  const Plan& best() const { return plans.front(); }
};

// UserError, saying what is short by how much on which stage, where nothing fits.
SearchResult search(const SearchRequest& request);

}  // namespace headwater
