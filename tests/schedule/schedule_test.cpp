#include "headwater/schedule/schedule.h"

#include "headwater/base/error.h"
#include "headwater/schedule/checker.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace headwater {
namespace {

TEST(Schedule, OneForwardOneBackwardIsProvedAtEverySize) {
  for (int ranks = 1; ranks <= 16; ++ranks) {
    for (int micro_batches = 1; micro_batches <= 64; ++micro_batches) {
      const ScheduleReport report = check(lower(one_forward_one_backward(ranks, micro_batches)));
      ASSERT_EQ(report.fault, std::nullopt) << ranks << " ranks, " << micro_batches << " micro-batches";
      for (int rank = 0; rank < ranks; ++rank) {
        const auto r = static_cast<std::size_t>(rank);
        ASSERT_EQ(report.in_flight[r], std::vector<int>{std::min(ranks - rank, micro_batches)});
        ASSERT_EQ(report.delayed_weights[r], std::vector<int>{0});
      }
    }
  }
}

TEST(Schedule, ForwardOnlyIsProvedAtEverySize) {
  for (int ranks = 1; ranks <= 16; ++ranks) {
    for (int micro_batches = 1; micro_batches <= 64; ++micro_batches) {
      const ScheduleReport report = check(lower(forward_only(ranks, micro_batches)));
      ASSERT_EQ(report.fault, std::nullopt) << ranks << " ranks, " << micro_batches << " micro-batches";
      for (const auto& chunks : report.in_flight) ASSERT_EQ(chunks, std::vector<int>{1});
    }
  }
}

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

std::string refusal(std::string_view name, int chunks) {
  try {
    make_schedule(name, 2, chunks, 4);
  } catch (const UserError& error) {
    return error.what();
  }
  return {};
}

TEST(Schedule, IsMadeByName) {
  EXPECT_EQ(make_schedule("1f1b", 3, 1, 4).actions, one_forward_one_backward(3, 4).actions);
  for (const std::string name : {"gpipe", "interleaved", "zb-h1", "zb-v"}) {
    EXPECT_EQ(refusal(name, 1), "parallel.pipeline_schedule: " + name + " is not built yet; 1f1b is");
  }
  EXPECT_EQ(refusal("1f2b", 1), "parallel.pipeline_schedule: there is no schedule 1f2b; 1f1b would be right");
  EXPECT_EQ(refusal("1f1b", 2), "parallel.num_chunks is 2, but parallel.pipeline_schedule 1f1b takes 1");
}

}  // namespace
}  // namespace headwater
