#include "headwater/plan/simulate/simulator.h"

#include "headwater/base/error.h"

#include <gtest/gtest.h>

#include <map>

namespace headwater {
namespace {

// A stage that takes so long for each pass.
PassSeconds cost(double forward, double input_gradient, double weight_gradient) {
  PassSeconds seconds;
  seconds.forward.compute = forward;
  seconds.input_gradient.compute = input_gradient;
  seconds.weight_gradient.compute = weight_gradient;
  return seconds;
}

std::vector<PassSeconds> equal(int stages) {
  return std::vector<PassSeconds>(static_cast<std::size_t>(stages), cost(1, 1, 1));
}

PipelineNetwork one_network(double bandwidth, double latency, double bytes) {
  PipelineNetwork network;
  network.intra_node = {bandwidth, latency};
  network.message_bytes = bytes;
  return network;
}

LoweredSchedule one_f_one_b(int ranks, int micro_batches) {
  return lower(one_forward_one_backward(ranks, micro_batches));
}

TEST(Simulator, OneRankDoesOneThingAfterTheOther) {
  const Simulation played = simulate(one_f_one_b(1, 7), {cost(1, 2, 3)}, {});
  EXPECT_DOUBLE_EQ(played.end, 42.0);
  EXPECT_DOUBLE_EQ(played.bubble_fraction(), 0.0);
  EXPECT_EQ(played.ranks[0].computes.size(), 14U);
  EXPECT_TRUE(played.transfers.empty());
}

// (P − 1)(F + B + W) of m(F + B + W) + (P − 1)(F + B + W), however many micro-batches there are.
TEST(Simulator, BubbleOf1F1BIsExactWhereStagesAreEqualAndLinksFree) {
  for (const int ranks : {1, 2, 3, 4, 8, 16})
    for (const int micro_batches : {1, 2, 3, 5, 8, 16, 33}) {
      const Simulation played = simulate(one_f_one_b(ranks, micro_batches), equal(ranks), {});
      EXPECT_DOUBLE_EQ(played.end, 3.0 * (micro_batches + ranks - 1)) << ranks << " ranks, " << micro_batches;
      EXPECT_NEAR(played.bubble_fraction(), (ranks - 1.0) / (micro_batches + ranks - 1.0), 1e-12);
    }
}

// Two stages, two micro-batches, F 1, B + W 2, a transfer 0.5, worked out by hand:
//   rank 0: F0 0-1, F1 1-2, B0 5-7, B1 8-10
//   rank 1: F0 1.5-2.5, B0 2.5-4.5, F1 4.5-5.5, B1 5.5-7.5
TEST(Simulator, ATransferTakesItsTimeBetweenTwoStages) {
  const Simulation played = simulate(one_f_one_b(2, 2), equal(2), one_network(10.0, 0.3, 2.0));
  const std::vector<ComputeSpan>& first = played.ranks[0].computes;
  const std::vector<ComputeSpan>& last = played.ranks[1].computes;
  ASSERT_EQ(first.size(), 4U);
  ASSERT_EQ(last.size(), 4U);
  EXPECT_DOUBLE_EQ(last[0].begin, 1.5);
  EXPECT_DOUBLE_EQ(last[1].begin, 2.5);
  EXPECT_DOUBLE_EQ(last[1].end, 4.5);
  EXPECT_DOUBLE_EQ(first[2].begin, 5.0);  // the gradient of micro-batch 0 has come
  EXPECT_DOUBLE_EQ(last[2].begin, 4.5);
  EXPECT_DOUBLE_EQ(last[3].end, 7.5);
  EXPECT_DOUBLE_EQ(first[3].begin, 8.0);
  EXPECT_DOUBLE_EQ(played.end, 10.0);
  EXPECT_DOUBLE_EQ(played.ranks[0].busy.total(), 6.0);
  EXPECT_DOUBLE_EQ(played.ranks[0].waiting, 4.0);
  EXPECT_DOUBLE_EQ(played.ranks[0].bytes_sent, 4.0);
  EXPECT_DOUBLE_EQ(played.ranks[1].bytes_sent, 4.0);
  ASSERT_EQ(played.transfers.size(), 4U);
  EXPECT_DOUBLE_EQ(played.transfers[0].begin, 1.0);
  EXPECT_DOUBLE_EQ(played.transfers[0].end, 1.5);
}

// The middle one of three ranks sends and receives in both directions; its link carries one message at a time
// each way.
TEST(Simulator, ADeviceSendsAndReceivesOneMessageAtATime) {
  for (const double seconds : {0.2, 1.0, 5.0}) {
    const Simulation played = simulate(one_f_one_b(3, 6), equal(3), one_network(1.0, 0.0, seconds));
    std::map<int, std::vector<const TransferSpan*>> out, in;
    for (const TransferSpan& span : played.transfers) {
      EXPECT_NEAR(span.end - span.begin, seconds, 1e-9);
      out[span.transfer.peer].push_back(&span);
      in[span.to_rank].push_back(&span);
    }
    EXPECT_EQ(played.transfers.size(), 24U);
    EXPECT_EQ(out[1].size(), 12U);
    for (const auto* ends : {&out, &in})
      for (const auto& [rank, spans] : *ends)
        for (std::size_t i = 1; i < spans.size(); ++i)
          EXPECT_GE(spans[i]->begin, spans[i - 1]->end - 1e-12) << rank;
  }
}

// Where links set the pace the step takes as long as the busiest link: rank 1 sends two messages for each
// micro-batch.
TEST(Simulator, SlowLinksSetThePace) {
  const Simulation played = simulate(one_f_one_b(3, 32), equal(3), one_network(1.0, 0.0, 100.0));
  EXPECT_GE(played.end, 64 * 100.0);
  EXPECT_LE(played.end, 68 * 100.0 + 32 * 3.0);
}

TEST(Simulator, NodesAreJoinedByTheirOwnLinks) {
  PipelineNetwork network = one_network(1e9, 0.0, 1.0);
  network.inter_node = {1.0, 0.0};
  const double together = simulate(one_f_one_b(2, 4), equal(2), network).end;
  network.between_nodes = {false, true, true, false};
  const double apart = simulate(one_f_one_b(2, 4), equal(2), network).end;
  EXPECT_NEAR(together, 15.0, 1e-6);
  EXPECT_GE(apart, 17.0);  // the first message and the last gradient at least
}

TEST(Simulator, MoreWorkOrSlowerLinksNeverEndSooner) {
  const LoweredSchedule lowered = one_f_one_b(4, 9);
  std::vector<PassSeconds> stages = {cost(1, 1, 1), cost(2, 1, 1), cost(1, 1.5, 1), cost(3, 0.1, 0)};
  double last = simulate(lowered, stages, one_network(10.0, 0.01, 1.0)).end;
  for (std::size_t stage = 0; stage < stages.size(); ++stage) {
    stages[stage].weight_gradient.recompute += 0.3;
    const double longer = simulate(lowered, stages, one_network(10.0, 0.01, 1.0)).end;
    EXPECT_GE(longer, last);
    last = longer;
  }
  for (const double bandwidth : {8.0, 4.0, 2.0, 1.0, 0.5}) {
    const double longer = simulate(lowered, stages, one_network(bandwidth, 0.01, 1.0)).end;
    EXPECT_GE(longer, last);
    last = longer;
  }
}

// It begins after two forwards, waits once (its second forward ends at 6, the first backward of stage 3 at
// 7), is busy from there on, and two backwards follow its last.
TEST(Simulator, TheSlowestStageSetsThePaceOfMany) {
  std::vector<PassSeconds> stages = equal(4);
  stages[2] = cost(2, 2, 2);
  EXPECT_DOUBLE_EQ(simulate(one_f_one_b(4, 100), stages, {}).end, 2.0 + 1.0 + 100 * 6.0 + 4.0);
}

TEST(Simulator, PlaysAForwardOnlySchedule) {
  EXPECT_DOUBLE_EQ(simulate(lower(forward_only(Placement(3, 1), 5)), equal(3), {}).end, 7.0);
}

TEST(Simulator, RefusesCostsOfAnotherCountOfStages) {
  EXPECT_THROW(simulate(one_f_one_b(2, 2), equal(3), {}), InternalError);
}

}  // namespace
}  // namespace headwater
