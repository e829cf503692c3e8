// What the parts of a run cost, as it is measured: the program without transfers, medians over ranks.

#include "headwater/bench/measured_costs.h"

#include "headwater/backend/cpu_backend.h"
#include "tests/support/models.h"

#include <gtest/gtest.h>

namespace headwater {
namespace {

RankLayoutRequest two_stages() {
  RankLayoutRequest request;
  request.model = expand(test::small_model({.layers = 3}, 10));
  request.parallel.pipeline_model_parallel_size = 2;
  request.parallel.pipeline_layout = {false, {2, 1}};
  request.batch = {2, 8};
  request.micro_batches = 3;
  return request;
}

TEST(MeasuredCosts, WithoutTransfersOnlyTheComputesAreLeft) {
  const LoweredSchedule schedule = lower(one_forward_one_backward(3, 4)), alone = without_transfers(schedule);
  ASSERT_EQ(alone.ranks.size(), 3U);
  for (std::size_t rank = 0; rank < 3; ++rank) {
    ASSERT_EQ(alone.ranks[rank].instructions.size(), 8U);
    std::size_t next = 0;
    for (const Instruction& i : schedule.ranks[rank].instructions) {
      if (i.kind != Instruction::Kind::compute) continue;
      EXPECT_EQ(alone.ranks[rank].instructions[next].action, i.action);
      EXPECT_EQ(alone.ranks[rank].instructions[next].activation, i.activation);
      EXPECT_EQ(alone.ranks[rank].instructions[next++].gradient, i.gradient);
    }
  }
}

// Rank 0 holds stage 0, rank 1 stage 1: each knows only its own spans.
TEST(MeasuredCosts, EachStageCostsWhatItsPassesTakeInATypicalStep) {
  run_on_threads(2, [](World& world) {
    const RankLayout layout(two_stages(), world.rank(), world.size());
    Engine engine(world, layout, make_cpu_backend({}));
    CostSamples samples;
    const double slow = world.rank() == 0 ? 1.0 : 10.0;
    // two in each of three steps: 2, 4 and 1.5 on average
    for (const double seconds : {1.0, 3.0, 1.0, 7.0, 1.0, 2.0}) {
      samples.spans.push_back({SpanKind::forward, 0, world.rank(), 0.0, slow * seconds});
      samples.spans.push_back({SpanKind::backward, 0, world.rank(), 5.0, 5.0 + 2.0 * slow * seconds});
    }
    StepTimes times;
    times.execution.compute = 3.0;
    times.execution.tensor = 1.0;
    times.reduce = world.rank() == 0 ? 0.25 : 4.0;  // the first to come waits for the other
    times.update = world.rank() == 0 ? 0.5 : 0.75;
    samples.times = {times, times, times};
    const StepCosts costs = measured_costs(engine, samples, {});
    ASSERT_EQ(costs.stages.size(), 2U);
    for (const std::size_t stage : {0U, 1U}) {
      const double scale = stage == 0 ? 1.0 : 10.0;
      EXPECT_DOUBLE_EQ(costs.stages[stage].forward.compute, 2.0 * scale * 0.75);
      EXPECT_DOUBLE_EQ(costs.stages[stage].forward.tensor_communication, 2.0 * scale * 0.25);
      EXPECT_DOUBLE_EQ(costs.stages[stage].input_gradient.total(), 4.0 * scale);
      EXPECT_EQ(costs.stages[stage].weight_gradient.total(), 0.0);
    }
    for (const EndOfStep& end : costs.ends) {
      EXPECT_DOUBLE_EQ(end.norm, 0.25);
      EXPECT_DOUBLE_EQ(end.update, 0.75);
    }
  });
}

TEST(MeasuredCosts, LinksAreThoseBetweenNeighbours) {
  run_on_threads(2, [](World& world) {
    const RankLayout layout(two_stages(), world.rank(), world.size());
    Engine engine(world, layout, make_cpu_backend({}));
    const PipelineNetwork network = measure_pipeline_network(world, engine);
    EXPECT_EQ(network.message_bytes, 2 * 8 * 12 * 4);
    EXPECT_FALSE(network.crosses(0, 1, 2));  // threads of one process
    EXPECT_GT(network.intra_node.bandwidth, 1e3);
    EXPECT_LT(network.intra_node.latency_seconds, 10.0);
  });
}

}  // namespace
}  // namespace headwater
