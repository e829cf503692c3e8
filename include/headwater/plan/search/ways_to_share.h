#pragma once
// Every way to share a run out over so many ranks, but for its layers: tensor ranks, cut tokens, pipeline
// ranks, schedule and chunks, micro-batch; data-parallel replicas are what is left.

#include "headwater/config/run_config.h"
#include "headwater/plan/cost/run_costs.h"

#include <set>
#include <string>
#include <vector>

namespace headwater {

struct SearchRequest {
  RunConfig run;  // validated; model resolved
  Cluster cluster;
  std::string dtype = "bf16";  // of training.dtype, "auto" decided
  int threads = 1;             // per rank
  int ranks = 1;
  std::set<std::string> keep;  // keys whose value in `run` stays: "parallel.pipeline_schedule", …
  bool keeps(const char* key) const { return keep.contains(key); }
};

// Without those that the model or the batch cannot be cut into. A sharded optimizer wherever there are
// replicas, as that costs neither time nor memory in the cost model. UserError where
// training.global_batch_size is not given: steps would differ.
std::vector<PlanRequest> ways_to_share(const SearchRequest& request);

// A step's time were its layers shared out as equally as their number allows, without recomputation, links
// between stages, sums over replicas and update. Almost a bound from below, and quickly had.
double ideal_step(const PlanRequest& request);

}  // namespace headwater
