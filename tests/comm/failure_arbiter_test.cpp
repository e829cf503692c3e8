#include "src/comm/failure_arbiter.h"

#include <gtest/gtest.h>

namespace headwater::comm {
namespace {

using Action = FailureArbiter::Action;

struct Reported {
  std::string reason;
  int exit_code = 0;

  FailureArbiter of(int rank) {
    return {rank, [this](const std::string& text, int code) {
              reason = text;
              exit_code = code;
            }};
  }
};

TEST(FailureArbiter, RankZeroCollectsAndPrefersACause) {
  Reported reported;
  FailureArbiter arbiter = reported.of(0);
  EXPECT_EQ(arbiter.next_action(100.0), Action::wait);
  arbiter.other_rank_failed(2, {4, "rank 3 did not come"}, 10.0);
  arbiter.other_rank_failed(3, {3, "the disk is full"}, 10.1);
  arbiter.other_rank_failed(1, {2, "later"}, 10.1);
  EXPECT_EQ(arbiter.next_action(10.1), Action::wait);
  EXPECT_EQ(arbiter.next_action(10.2), Action::report);
  arbiter.report();
  EXPECT_EQ(reported.reason, "rank 3: the disk is full");
  EXPECT_EQ(reported.exit_code, 3);
}

TEST(FailureArbiter, TheSameReasonIsTheLowestRanks) {
  Reported reported;
  FailureArbiter arbiter = reported.of(0);
  arbiter.other_rank_failed(2, {2, "no such file"}, 10.0);
  arbiter.this_rank_failed({2, "no such file"}, 10.05);
  arbiter.report();
  EXPECT_EQ(reported.reason, "no such file");
  EXPECT_EQ(reported.exit_code, 2);
}

TEST(FailureArbiter, OtherRanksReportInTurnWhereRankZeroIsSilent) {
  Reported reported;
  FailureArbiter first = reported.of(1), last = reported.of(60), healthy = reported.of(2);
  first.this_rank_failed({4, "lost"}, 10.0);
  last.this_rank_failed({4, "lost"}, 10.0);
  healthy.other_rank_failed(1, {4, "lost"}, 10.0);
  EXPECT_EQ(first.next_action(12.0), Action::wait);
  EXPECT_EQ(first.next_action(12.06), Action::report);
  EXPECT_EQ(last.next_action(12.9), Action::wait);
  EXPECT_EQ(last.next_action(13.0), Action::report);
  EXPECT_EQ(healthy.next_action(1000.0), Action::wait);
  last.other_rank_reports(12.5);
  EXPECT_EQ(last.next_action(13.4), Action::wait);
  EXPECT_EQ(last.next_action(13.6), Action::leave);
  last.leave();
  EXPECT_EQ(reported.reason, "");
  EXPECT_EQ(reported.exit_code, 4);
}

TEST(FailureArbiter, RankZeroThatWakesUpDoesNotReportAgain) {
  Reported reported;
  FailureArbiter arbiter = reported.of(0);
  arbiter.other_rank_failed(1, {4, "rank 0 did not come"}, 10.0);
  arbiter.other_rank_reports(10.0);
  EXPECT_EQ(arbiter.next_action(10.9), Action::wait);
  EXPECT_EQ(arbiter.next_action(11.1), Action::leave);
}

}  // namespace
}  // namespace headwater::comm
