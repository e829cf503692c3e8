#include "headwater/schedule/schedule.h"

#include "tests/schedule/written_schedules.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace headwater {
namespace {

// Micro-batches go in order in both directions, and backward m follows forward m + P − 1 − p where there is
// one.
TEST(Schedule, OneForwardOneBackwardAlternates) {
  for (int ranks : {1, 2, 5}) {
    for (int micro_batches : {1, 3, 5, 11}) {
      const Schedule schedule = one_forward_one_backward(ranks, micro_batches);
      for (int rank = 0; rank < ranks; ++rank) {
        int forwards = 0, backwards = 0;
        for (const Action& action : schedule.actions[static_cast<std::size_t>(rank)]) {
          EXPECT_EQ(action.stage, rank);
          if (action.kind == ActionKind::forward) {
            EXPECT_EQ(action.micro_batch, forwards++);
          } else {
            EXPECT_EQ(action.kind, ActionKind::backward);
            EXPECT_EQ(action.micro_batch, backwards++);
            EXPECT_EQ(forwards, std::min(backwards - 1 + ranks - rank, micro_batches));
          }
        }
        EXPECT_EQ(forwards, micro_batches);
        EXPECT_EQ(backwards, micro_batches);
      }
    }
  }
}

// "F0/2" is the forward of micro-batch 0 on stage 2; B backward, I input gradient, W weight gradient.
std::string text_of(const std::vector<Action>& actions) {
  std::string text;
  for (const Action& action : actions) {
    if (!text.empty()) text += ' ';
    text += "FBIW"[static_cast<std::size_t>(action.kind)];
    text += std::to_string(action.micro_batch) + "/" + std::to_string(action.stage);
  }
  return text;
}

TEST(Schedule, GpipeRunsAllForwardsFirst) {
  EXPECT_EQ(text_of(gpipe(2, 3).actions[1]), "F0/1 F1/1 F2/1 B0/1 B1/1 B2/1");
}

TEST(Schedule, InterleavedIsMegatronsOrder) {
  EXPECT_EQ(interleaved(2, 2, 4).actions, written_interleaved().actions);
  EXPECT_EQ(interleaved(3, 1, 7).actions, one_forward_one_backward(3, 7).actions);
}

TEST(Schedule, InterleavedMakesItsFirstRoundsLonger) {
  EXPECT_EQ(
      text_of(interleaved(2, 2, 5).actions[1]),
      "F0/1 F1/1 F2/1 F0/3 B0/3 F1/3 B1/3 F2/3 B2/3 F3/1 B0/1 F4/1 B1/1 F3/3 B2/1 F4/3 B3/3 B4/3 B3/1 B4/1");
  EXPECT_EQ(text_of(interleaved(2, 2, 1).actions[1]), "F0/1 F0/3 B0/3 B0/1");
}

TEST(Schedule, ZeroBubbleH1PutsWeightGradientsOff) {
  const Schedule schedule = zero_bubble_h1(3, 4);
  EXPECT_EQ(text_of(schedule.actions[0]), "F0/0 F1/0 F2/0 I0/0 W0/0 F3/0 I1/0 W1/0 I2/0 W2/0 I3/0 W3/0");
  EXPECT_EQ(text_of(schedule.actions[2]), "F0/2 I0/2 F1/2 I1/2 F2/2 I2/2 W0/2 F3/2 I3/2 W1/2 W2/2 W3/2");
}

TEST(Schedule, ZeroBubbleVFoldsBack) {
  const Schedule schedule = zero_bubble_v(2, 4);
  EXPECT_EQ(
      text_of(schedule.actions[0]),
      "F0/0 F1/0 F2/0 F0/3 I0/3 W0/3 F1/3 I1/3 W1/3 F3/0 I0/0 W0/0 F2/3 I2/3 W2/3 I1/0 W1/0 F3/3 I3/3 W3/3 "
      "I2/0 W2/0 I3/0 W3/0");
  EXPECT_EQ(text_of(schedule.actions[1]),
            "F0/1 F0/2 F1/1 F1/2 I0/2 W0/2 F2/1 I0/1 W0/1 F2/2 I1/2 W1/2 F3/1 I1/1 W1/1 F3/2 I2/2 W2/2 I2/1 "
            "I3/2 I3/1 W2/1 W3/2 W3/1");
}

TEST(Schedule, VHalfFillsTheWaitingWithWeightGradients) {
  const Schedule schedule = v_half(2, 3);
  EXPECT_EQ(text_of(schedule.actions[0]),
            "F0/0 F1/0 F0/3 I0/3 F2/0 W0/3 F1/3 I1/3 W1/3 I0/0 W0/0 F2/3 I2/3 I1/0 W2/3 I2/0 W1/0 W2/0");
  EXPECT_EQ(text_of(schedule.actions[1]),
            "F0/1 F0/2 F1/1 I0/2 F1/2 W0/2 F2/1 I0/1 I1/2 W0/1 F2/2 I1/1 W1/2 I2/2 I2/1 W1/1 W2/2 W2/1");
}

TEST(Schedule, EvaluationKeepsEveryRankBusy) {
  EXPECT_EQ(text_of(forward_only(Placement(2, 2), 4).actions[1]), "F0/1 F1/1 F0/3 F1/3 F2/1 F3/1 F2/3 F3/3");
  EXPECT_EQ(text_of(forward_only(Placement(3, 2, true), 4).actions[1]),
            "F0/1 F1/1 F0/4 F2/1 F1/4 F3/1 F2/4 F3/4");
}

}  // namespace
}  // namespace headwater
