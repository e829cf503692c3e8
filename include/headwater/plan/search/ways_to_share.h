#pragma once
// The ways to share a run out over a number of ranks. A way fixes everything but the layers of each stage:
// tensor ranks, whether tokens are cut, pipeline ranks, schedule and chunks, and the micro-batch. The ranks
// that are left are data-parallel replicas.

#include "headwater/config/run_config.h"
#include "headwater/plan/cost/run_costs.h"

#include <set>
#include <string>
#include <vector>

namespace headwater {

struct SearchRequest {
  RunConfig run;  // validated; model resolved
  Cluster cluster;
  std::string dtype = "bf16";  // training.dtype with "auto" decided
  int threads = 1;             // per rank
  int ranks = 1;
  std::set<std::string> keep;  // keys whose value in `run` stays: "parallel.pipeline_schedule", …
  bool keeps(const char* key) const { return keep.contains(key); }
};

// Lists every way into which the model and the batch can be cut. Each shards the optimizer where it has
// replicas, because that costs neither time nor memory in the cost model. UserError where
// training.global_batch_size is not given: the steps of different ways would differ.
std::vector<PlanRequest> ways_to_share(const SearchRequest& request);

// Estimates a step from below, in little time: M micro-batches on the slowest rank plus the schedule's
// bubble, with layers shared out as equally as whole layers can be. It leaves out recomputation, links
// between stages, sums over replicas and the update. Where layers differ and a rank has several chunks it is
// not quite a bound, because it gives each rank layers that follow each other.
double ideal_step(const PlanRequest& request);

}  // namespace headwater
