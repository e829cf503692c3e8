#pragma once
// `headwater plan --cost-model paper`: takes the letters of the paper's formulas (paper_cost_model.h) from a
// config and a cluster, and reports what the formulas say of a step. They know no stages, schedule or memory.

#include "headwater/plan/cost/run_costs.h"
#include "headwater/plan/paper/paper_cost_model.h"

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace headwater {

struct PaperPlan {
  PlanRequest request;
  PaperRun run;
  PaperStepTime time;
  double tokens = 0.0;  // of a step
  double mfu = 0.0;     // by Headwater's count of FLOPs
  double hfu = 0.0;     // by the paper's count, with recomputation

  bool tensor_ranks() const { return run.tensor > 1.0; }  // the paper's method 1; else 2
};

// A node's network bandwidth is that of all its devices together, on Cluster::network_ports ports. Where
// there is one node, the links inside it take the network's place.
PaperRun paper_run(const PlanRequest& request);
PaperPlan predict_by_paper(const PlanRequest& request);

std::string report(const PaperPlan& plan);
nlohmann::json to_json(const PaperPlan& plan);

}  // namespace headwater
