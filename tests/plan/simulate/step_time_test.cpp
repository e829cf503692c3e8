#include "headwater/plan/simulate/step_time.h"

#include <gtest/gtest.h>

namespace headwater {
namespace {

PassSeconds cost(double forward, double input_gradient, double weight_gradient) {
  PassSeconds seconds;
  seconds.forward.compute = forward;
  seconds.input_gradient.compute = input_gradient;
  seconds.weight_gradient.compute = weight_gradient;
  return seconds;
}

// Two equal stages and two micro-batches without links: rank 0 ends at 9, rank 1 at 7.
StepCosts two_stages() {
  StepCosts costs;
  costs.stages = {cost(1, 1, 1), cost(1, 1, 1)};
  costs.ends.resize(2);
  return costs;
}

StepTime timed(const StepCosts& costs) { return time_step(lower(one_forward_one_backward(2, 2)), costs); }

TEST(StepTime, WithoutAnEndItIsTheSchedule) {
  const StepTime step = timed(two_stages());
  EXPECT_DOUBLE_EQ(step.seconds, 9.0);
  EXPECT_DOUBLE_EQ(step.reduced, 9.0);
  EXPECT_NEAR(step.bubble_fraction, 1.0 / 3.0, 1e-12);
}

TEST(StepTime, SumsRunBesideTheRanksThatStillCompute) {
  StepCosts costs = two_stages();
  costs.ends[1].reduce = 1.0;  // from 7 to 8: rank 0 is not held up
  EXPECT_DOUBLE_EQ(timed(costs).seconds, 9.0);
  costs.ends[1].reduce = 3.0;
  EXPECT_DOUBLE_EQ(timed(costs).seconds, 10.0);
}

TEST(StepTime, TheUpdateWaitsForTheSlowestRank) {
  StepCosts costs = two_stages();
  costs.ends[0] = {1.0, 0.0, 0.5, 2.0, 0.0};
  costs.ends[1] = {5.0, 0.0, 0.5, 0.25, 1.0};
  const StepTime step = timed(costs);
  EXPECT_DOUBLE_EQ(step.reduced, 12.0);
  EXPECT_DOUBLE_EQ(step.seconds, 14.5);
  EXPECT_DOUBLE_EQ(step.ranks[0].data_communication, 1.5);
  EXPECT_DOUBLE_EQ(step.ranks[1].data_communication, 6.5);
  EXPECT_DOUBLE_EQ(step.ranks[0].optimizer, 2.0);
  for (const StepSeconds& parts : step.ranks) EXPECT_DOUBLE_EQ(parts.total(), step.seconds);
  EXPECT_DOUBLE_EQ(step.ranks[0].pipeline_wait, 14.5 - 6.0 - 1.5 - 2.0);
}

TEST(StepTime, TheTiedEmbeddingJoinsBothEnds) {
  StepCosts costs = two_stages();
  costs.ends[0].tied = costs.ends[1].tied = 4.0;
  EXPECT_DOUBLE_EQ(timed(costs).seconds, 13.0);
}

TEST(StepTime, TheBusiestRankComputesLongest) {
  StepCosts costs = two_stages();
  costs.stages[1] = cost(1, 1, 1.5);
  EXPECT_EQ(timed(costs).busiest, 1U);
}

}  // namespace
}  // namespace headwater
