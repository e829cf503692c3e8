#include "src/cli/scaling.h"

#include "headwater/base/error.h"

#include <gtest/gtest.h>

namespace headwater {
namespace {

ScalingLayout layout(std::int64_t tensor, std::int64_t stages) {
  ScalingLayout made;
  made.parallel.tensor_model_parallel_size = tensor;
  made.parallel.pipeline_model_parallel_size = stages;
  return made;
}

ScalingRequest request(std::vector<int> ranks, std::int64_t smallest_batch) {
  return {std::move(ranks),
          {layout(1, 1), layout(1, 2)},
          {ScalingKind::weak, ScalingKind::strong},
          smallest_batch};
}

TEST(Scaling, WeakKeepsTheSamplesOfARankAndStrongTheBatch) {
  const ScalingCases found = scaling_cases(request({1, 2, 4}, 8));
  std::vector<std::tuple<ScalingKind, int, int, std::int64_t>> cases;
  for (const ScalingCase& one : found.cases)
    cases.emplace_back(one.kind, one.run.layout, one.run.ranks, one.run.global_batch);
  const auto weak = ScalingKind::weak, strong = ScalingKind::strong;
  const decltype(cases) expected = {
      {weak, 0, 1, 8},   {weak, 0, 2, 16},  {weak, 0, 4, 32},  {weak, 1, 2, 16},  {weak, 1, 4, 32},
      {strong, 0, 1, 8}, {strong, 0, 2, 8}, {strong, 0, 4, 8}, {strong, 1, 2, 8}, {strong, 1, 4, 8}};
  EXPECT_EQ(cases, expected);
  ASSERT_EQ(found.left_out.size(), 1U);  // once, not once per kind
  EXPECT_EQ(found.left_out[0], "1 rank: a replica of tensor 1 x pipeline 2 takes 2");
}

TEST(Scaling, RefusesABatchThatIsNotWholeAndNothingToMeasure) {
  EXPECT_EQ(scaling_cases(request({2, 3}, 4)).cases.back().run.global_batch, 4);
  EXPECT_THROW(scaling_cases(request({2, 3}, 5)), UserError);
  ScalingRequest none = request({1, 3}, 4);
  none.layouts = {layout(2, 1)};
  EXPECT_THROW(scaling_cases(none), UserError);
}

TEST(Scaling, EfficiencyIsSpeedPerRankBesideTheBaselines) {
  const ScalingCases found = scaling_cases(request({2, 4}, 8));
  std::map<ScalingRun, RunSpeed> measured;
  measured[{2, 0, 8}].tokens_per_second = 100.0;  // both kinds' own: strong's and weak's first
  measured[{4, 0, 16}].tokens_per_second = 150.0;
  // the faster of two layouts with the fewest ranks: the baseline
  measured[{2, 1, 8}].tokens_per_second = 120.0;
  measured[{4, 1, 8}].tokens_per_second = 60.0;
  const std::vector<ScalingRow> rows = scaling_rows(found.cases, measured);  // two cases were not measured
  ASSERT_EQ(rows.size(), 6U);
  std::vector<std::tuple<ScalingKind, int, int, double>> got;
  for (const ScalingRow& row : rows) {
    got.emplace_back(row.kind, row.run.layout, row.run.ranks, row.efficiency);
    EXPECT_EQ(row.baseline_ranks, 2);
  }
  const auto weak = ScalingKind::weak, strong = ScalingKind::strong;
  const decltype(got) expected = {{weak, 0, 2, 50.0 / 60.0}, {weak, 0, 4, 37.5 / 60.0},
                                  {weak, 1, 2, 1.0},         {strong, 0, 2, 50.0 / 60.0},
                                  {strong, 1, 2, 1.0},       {strong, 1, 4, 15.0 / 60.0}};
  EXPECT_EQ(got, expected);
}

TEST(Scaling, LayoutsInWords) {
  ParallelConfig parallel;
  EXPECT_EQ(describe(parallel, 1), "data 1");
  EXPECT_EQ(describe(parallel, 4), "data 4");
  parallel.tensor_model_parallel_size = 2;
  parallel.sequence_parallel = true;
  EXPECT_EQ(describe(parallel, 2), "tensor 2 and sequence");
  parallel.pipeline_model_parallel_size = 2;
  parallel.pipeline_layout = {false, {3, 1}};
  parallel.pipeline_schedule = "gpipe";
  parallel.use_distributed_optimizer = true;
  EXPECT_EQ(describe(parallel, 8), "tensor 2 and sequence, pipeline 2 [3,1] gpipe, data 2, ZeRO-1");
}

}  // namespace
}  // namespace headwater
