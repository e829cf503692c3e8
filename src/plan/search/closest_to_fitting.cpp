#include "closest_to_fitting.h"

#include "headwater/base/error.h"

#include "partition_problem.h"

#include <algorithm>
#include <limits>

namespace headwater {
namespace {

PlanRequest with_least_memory(PlanRequest request) {
  ParallelConfig& parallel = request.layout.parallel;
  const std::int64_t stages = parallel.pipeline_model_parallel_size * parallel.num_chunks;
  parallel.pipeline_layout = {
      false, nearly_uniform(static_cast<std::int64_t>(request.layout.model.layers.size()), stages)};
  parallel.recompute = {"full", {}};
  return request;
}

// Returns the bytes of the rank that needs most.
std::int64_t needed(const PlanRequest& request) {
  const ParallelConfig& parallel = request.layout.parallel;
  const Placement placement = placement_of(parallel);
  const PartitionProblem problem = partition_problem(
      request, stage_holds(make_schedule(parallel.pipeline_schedule, placement.ranks(), placement.chunks(),
                                         request.layout.micro_batches)));
  const StageCosts costs(problem);
  std::int64_t most = 0;
  for (int rank = 0; rank < placement.ranks(); ++rank) {
    std::int64_t bytes = problem.rank_fixed, working = 0;
    for (int chunk = 0; chunk < placement.chunks(); ++chunk) {
      const int stage = placement.stage_of(rank, chunk);
      const auto layers = static_cast<int>(parallel.pipeline_layout.layers[static_cast<std::size_t>(stage)]);
      const StageCost cost = costs.cost(stage, 0, layers, {false, layers});
      bytes += cost.bytes;
      working = std::max(working, cost.working);
    }
    most = std::max(most, bytes + working);
  }
  return most;
}

}  // namespace

// 1F1B and the smallest micro-batches keep fewest activations. Other schedules are looked at only where the
// ways have no 1F1B.
Plan closest_to_fitting(const std::vector<PlanRequest>& ways) {
  const auto plain = [](const PlanRequest& way) { return way.layout.parallel.pipeline_schedule == "1f1b"; };
  const bool any_plain = std::any_of(ways.begin(), ways.end(), plain);
  PlanRequest closest;
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (const PlanRequest& way : ways) {
    if ((any_plain && !plain(way)) || way.layout.batch.samples > ways.front().layout.batch.samples) continue;
    const PlanRequest request = with_least_memory(way);
    const std::int64_t bytes = needed(request);
    if (bytes >= least) continue;
    least = bytes;
    closest = request;
  }
  HW_CHECK(least < std::numeric_limits<std::int64_t>::max(), "no way of {}", ways.size());
  return predict(closest);
}

}  // namespace headwater
