// The searches take each layer's numbers, not one layer's for all.

#include "headwater/plan/search/ways_to_share.h"
#include "headwater/run/layout_request.h"
#include "headwater/schedule/schedule_table.h"
#include "src/plan/search/partition_problem.h"
#include "tests/support/models.h"

#include <gtest/gtest.h>

#include <limits>

namespace headwater {
namespace {

constexpr int kLayers = 6;

// One layer is a hundred times as wide as the others in its MLP. Two pipeline ranks, each with two replicas.
PlanRequest with_wide_layer(std::size_t wide) {
  PlanRequest request;
  request.layout.model = expand(test::small_model({.layers = kLayers}, 64));
  request.layout.model.layers[wide].ffn = 2000;
  request.layout.parallel.pipeline_model_parallel_size = 2;
  request.layout.parallel.num_chunks = 1;
  request.layout.batch = {1, 64};
  request.layout.micro_batches = 4;
  request.layout.precision = {DType::bf16, DType::f32};
  request.cluster.devices_per_node = 4;
  request.cluster.device = {Device::Kind::cpu, 0, 1e10, {{"bf16", 1e9}}, {{"bf16", 0.5}}};
  request.cluster.intra_node = {1e9, 1e-6};
  request.ranks = 4;
  return request;
}

TEST(LayersThatDiffer, TheIdealStepSharesOutWhatTheyTake) {
  for (const std::size_t wide : {0, 2, 5}) {
    const PlanRequest request = with_wide_layer(wide);
    const CostModel costs = unit_costs(request, process_grid(request.layout, request.ranks));
    const auto seconds = [&](int unit) { return costs.unit(unit, Recompute::none).total(); };
    double least = std::numeric_limits<double>::infinity();
    for (int cut = 0; cut <= kLayers; ++cut) {
      double first = 0.0, second = seconds(kLayers + 1);
      for (int layer = 0; layer < kLayers; ++layer) (layer < cut ? first : second) += seconds(layer + 1);
      least = std::min(least, std::max(first, second));
    }
    PassSeconds all;
    for (int unit = 0; unit < kLayers + 2; ++unit) all += costs.unit(unit, Recompute::none);
    const double bubble = schedule_kind("1f1b").bubble({.ranks = 2,
                                                        .chunks = 1,
                                                        .forward = all.forward.total() / 2,
                                                        .input_gradient = all.input_gradient.total() / 2,
                                                        .weight_gradient = all.weight_gradient.total() / 2});
    EXPECT_NEAR(ideal_step(request), 4 * least + bubble, 1e-9 * least) << "layer " << wide;
  }
}

TEST(LayersThatDiffer, TheEndOfAStepIsEachLayersOwn) {
  const PlanRequest request = with_wide_layer(3);
  const PartitionProblem problem =
      partition_problem(request, stage_holds(make_schedule("1f1b", 2, 1, request.layout.micro_batches)));
  const StageCosts costs(problem);
  const StageCost narrow = costs.cost(1, 0, 1, {}), wide = costs.cost(1, 3, 4, {}),
                  none = costs.cost(1, 0, 0, {}), both = costs.cost(1, 2, 4, {});
  EXPECT_GT(wide.reduce - none.reduce, 5 * (narrow.reduce - none.reduce));
  EXPECT_GT(wide.update - none.update, 5 * (narrow.update - none.update));
  EXPECT_NEAR(both.reduce - none.reduce, wide.reduce - none.reduce + narrow.reduce - none.reduce, 1e-12);
}

}  // namespace
}  // namespace headwater
