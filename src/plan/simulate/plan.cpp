#include "headwater/plan/simulate/plan.h"

#include "headwater/nn/flops.h"

#include <algorithm>
#include <utility>

namespace headwater {
namespace {

double recompute_flops_per_token(const StageLayout& stages, const CostModel& costs) {
  double flops = 0.0;
  for (int s = 0; s < stages.stages(); ++s)
    for (int u = stages.stage(s).first; u < stages.stage(s).last; ++u)
      flops += costs.recompute_flops_per_token(u, stages.stage(s).recompute_of(u));
  return flops;
}

}  // namespace

Plan predict(const PlanRequest& request) {
  check_ranks(request.cluster, request.ranks);
  auto schedules = std::make_shared<const RunSchedules>(request.layout, request.ranks);
  return predict(request, std::move(schedules),
                 unit_costs(request, process_grid(request.layout, request.ranks)));
}

Plan predict(const PlanRequest& request, std::shared_ptr<const RunSchedules> schedules,
             const CostModel& costs) {
  check_ranks(request.cluster, request.ranks);
  const std::vector<RankLayout> layouts =
      pipeline_layouts(request.layout, request.ranks, std::move(schedules));
  const RankLayout& first = layouts.front();

  Plan plan;
  plan.request = request;
  plan.data_parallel_size = first.grid.size(Axis::data);
  plan.costs = step_costs(request, layouts, costs);
  plan.time = time_step(first.schedule, plan.costs);

  const RankLayoutRequest& run = request.layout;
  plan.tokens = static_cast<double>(run.batch.tokens()) * run.micro_batches * plan.data_parallel_size;
  const double model_flops = model_flops_per_token(run.model, run.batch.sequence);
  const double peak = request.cluster.peak_flops(request.dtype) * request.ranks;
  plan.mfu = model_flops * plan.tokens_per_second() / peak;
  plan.hfu = (model_flops + recompute_flops_per_token(first.stages, costs)) * plan.tokens_per_second() / peak;

  for (int s = 0; s < first.stages.stages(); ++s)
    plan.stages.push_back({s, first.placement.rank_of(s), first.stages.stage(s),
                           plan.costs.stages[static_cast<std::size_t>(s)]});
  for (std::size_t r = 0; r < layouts.size(); ++r) {
    PipelineRankPlan rank{plan.time.ranks[r], layouts[r].segments, layouts[r].bytes(),
                          sent_beside_pipeline(request, layouts[r], costs)};
    rank.sent.pipeline = plan.time.pipeline.ranks[r].bytes_sent;
    plan.ranks.push_back(std::move(rank));
  }
  return plan;
}

bool Plan::fits() const {
  const std::int64_t limit = request.cluster.device.memory_bytes;
  return limit == 0 || std::all_of(ranks.begin(), ranks.end(),
                                   [&](const PipelineRankPlan& r) { return r.memory_bytes <= limit; });
}

const PipelineRankPlan& Plan::most_sent() const {
  return *std::max_element(ranks.begin(), ranks.end(),
                           [](const auto& a, const auto& b) { return a.sent.total() < b.sent.total(); });
}

}  // namespace headwater
