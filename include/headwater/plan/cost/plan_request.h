#pragma once
// A prediction is asked for a run and the machines that it is to run on, which need not be here.

#include "headwater/plan/cost/cluster.h"
#include "headwater/run/layout_request.h"

#include <string>

namespace headwater {

struct PlanRequest {
  RankLayoutRequest layout;
  std::string dtype = "bf16";  // "bf16" or "fp32": which of the cluster's figures hold
  Cluster cluster;
  int ranks = 1;
};

// The settings of a run on these machines.
RunSettings settings_on(const Cluster& cluster, const std::string& dtype, int threads);

}  // namespace headwater
