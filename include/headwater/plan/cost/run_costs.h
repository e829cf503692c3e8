#pragma once
// What a run's parts cost on its cluster: the cost model's figures, and the links between its ranks.
// Everything that time_step() asks for.

#include "headwater/plan/cost/cost_model.h"
#include "headwater/plan/cost/plan_request.h"
#include "headwater/plan/cost/step_costs.h"
#include "headwater/run/rank_layout.h"

#include <vector>

namespace headwater {

// Sent by one device in a step.
struct SentBytes {
  double pipeline = 0.0, tensor = 0.0, data = 0.0;
  double total() const { return pipeline + tensor + data; }
};

CostModel unit_costs(const PlanRequest& request, const ProcessGrid& grid);

// Two pipeline ranks are on different nodes where any two of their ranks are that talk to each other.
PipelineNetwork pipeline_network(const PlanRequest& request, const ProcessGrid& grid, double message_bytes);

// Of a device of that layout's pipeline rank.
EndOfStep end_of_step(const PlanRequest& request, const RankLayout& layout, const CostModel& costs);

// Of a device that stands at `rank` and holds those parameters.
EndOfStep end_of_step(const PlanRequest& request, const ProcessGrid& grid, int rank,
                      const ParameterLayout& parameters, const CostModel& costs);

// `layouts`: of all pipeline ranks.
StepCosts step_costs(const PlanRequest& request, const std::vector<RankLayout>& layouts,
                     const CostModel& costs);

// To the ranks that share its layers, and to its replicas.
SentBytes sent_beside_pipeline(const PlanRequest& request, const RankLayout& layout, const CostModel& costs);

}  // namespace headwater
