#pragma once
// Predicts a run before it is started: time, memory and traffic of a step, from the descriptions and the
// schedule that the engine would run.

#include "headwater/plan/cost/run_costs.h"
#include "headwater/plan/simulate/step_time.h"

#include <memory>
#include <vector>

namespace headwater {

struct StagePlan {
  int stage = 0, pipeline_rank = 0;
  StageUnits units;
  PassSeconds seconds;  // of one micro-batch
};

struct PipelineRankPlan {
  StepSeconds seconds;
  std::vector<SegmentSize> memory;  // the arena's table, to the byte
  std::int64_t memory_bytes = 0;
  SentBytes sent;
};

struct Plan {
  PlanRequest request;
  int data_parallel_size = 1;
  double tokens = 0.0;                  // of a step
  double mfu = 0.0;                     // model FLOPs (nn/flops.h) / (time × peak × ranks)
  double hfu = 0.0;                     // the same, with the FLOPs that recomputation repeats
  std::vector<StagePlan> stages;        // by virtual stage
  std::vector<PipelineRankPlan> ranks;  // by pipeline rank
  StepCosts costs;
  StepTime time;

  double tokens_per_second() const { return tokens / time.seconds; }
  bool fits() const;  // into the memory of the cluster's devices
  const PipelineRankPlan& busiest() const { return ranks[time.busiest]; }  // the one that computes longest
  const PipelineRankPlan& most_sent() const;
};

// UserError where the layout is impossible, or the cluster has too few devices.
Plan predict(const PlanRequest& request);
// With the schedules and the costs of that request, or of one that differs in the layers of its stages and in
// their recomputation only: a search makes them once for all the layouts that it tries.
Plan predict(const PlanRequest& request, std::shared_ptr<const RunSchedules> schedules,
             const CostModel& costs);

}  // namespace headwater
