#pragma once
// From a run and its cluster to the costs that time_step() asks for: the cost model's figures, and the links
// between the ranks.

#include "headwater/plan/cost/cost_model.h"
#include "headwater/plan/cost/plan_request.h"
#include "headwater/plan/cost/step_costs.h"
#include "headwater/run/rank_layout.h"

#include <vector>

namespace headwater {

// Bytes that one device sends in a step.
struct SentBytes {
  double pipeline = 0.0, tensor = 0.0, data = 0.0;
  double total() const { return pipeline + tensor + data; }
};

CostModel unit_costs(const PlanRequest& request, const ProcessGrid& grid);

// Two pipeline ranks count as lying on different nodes where any two of their ranks do that talk to each
// other.
PipelineNetwork pipeline_network(const PlanRequest& request, const ProcessGrid& grid, double message_bytes);

// The end of a step on the rank whose layout this is.
EndOfStep end_of_step(const PlanRequest& request, const RankLayout& layout, const CostModel& costs);

// The same without `norm`, on the rank that stands at `rank` and holds `parameters`.
EndOfStep end_of_step(const PlanRequest& request, const ProcessGrid& grid, int rank,
                      const ParameterLayout& parameters, const CostModel& costs);

// `layouts` are those of all pipeline ranks (pipeline_layouts()).
StepCosts step_costs(const PlanRequest& request, const std::vector<RankLayout>& layouts,
                     const CostModel& costs);

// Returns what this rank sends to the ranks that share its layers and to its replicas; `pipeline` stays 0.
SentBytes sent_beside_pipeline(const PlanRequest& request, const RankLayout& layout, const CostModel& costs);

}  // namespace headwater
