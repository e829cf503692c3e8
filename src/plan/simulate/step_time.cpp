#include "headwater/plan/simulate/step_time.h"

#include "headwater/base/error.h"

#include <algorithm>

namespace headwater {

StepTime time_step(const LoweredSchedule& schedule, const StepCosts& costs) {
  StepTime step;
  step.pipeline = simulate(schedule, costs.stages, costs.network);
  step.bubble_fraction = step.pipeline.bubble_fraction();
  const std::vector<RankTimes>& ranks = step.pipeline.ranks;
  HW_CHECK(costs.ends.size() == ranks.size(), "ends of {} ranks for {}", costs.ends.size(), ranks.size());

  // The tied embedding's two ends wait for each other, then all ranks for the global norm.
  std::vector<double> reduced;
  for (std::size_t r = 0; r < ranks.size(); ++r) reduced.push_back(ranks[r].end + costs.ends[r].reduce);
  const double tied = std::max(costs.ends.front().tied, costs.ends.back().tied);
  if (tied > 0.0) reduced.front() = reduced.back() = std::max(reduced.front(), reduced.back()) + tied;
  step.reduced = *std::max_element(reduced.begin(), reduced.end());
  for (const EndOfStep& end : costs.ends)
    step.seconds = std::max(step.seconds, step.reduced + end.norm + end.update + end.gather);

  for (std::size_t r = 0; r < ranks.size(); ++r) {
    const EndOfStep& end = costs.ends[r];
    StepSeconds parts;
    parts.compute = ranks[r].busy.compute;
    parts.recompute = ranks[r].busy.recompute;
    parts.tensor_communication = ranks[r].busy.tensor_communication;
    parts.data_communication = end.reduce + end.tied + end.norm + end.gather;
    parts.optimizer = end.update;
    parts.pipeline_wait = step.seconds - parts.total();
    step.ranks.push_back(parts);
    if (ranks[r].busy.total() > ranks[step.busiest].busy.total()) step.busiest = r;
  }
  return step;
}

}  // namespace headwater
