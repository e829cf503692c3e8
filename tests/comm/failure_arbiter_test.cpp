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
  EXPECT_EQ(arbiter.next_action(10.2), Action::wait);
  EXPECT_EQ(arbiter.next_action(10.26), Action::report);
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

// Asks every 10 ms from `start` until the rank does something, and returns when and what it does.
std::pair<double, Action> first_action(FailureArbiter& arbiter, double start) {
  for (int i = 0; i < 1000; ++i) {
    const double now = start + 0.01 * i;
    if (const Action action = arbiter.next_action(now); action != Action::wait) return {now, action};
  }
  return {start + 10.0, Action::wait};
}

TEST(FailureArbiter, OtherRanksReportInTurnWhereRankZeroIsSilent) {
  Reported reported;
  FailureArbiter first = reported.of(1), last = reported.of(60), healthy = reported.of(2);
  first.this_rank_failed({4, "lost"}, 10.0);
  last.this_rank_failed({4, "lost"}, 10.0);
  healthy.other_rank_failed(1, {4, "lost"}, 10.0);
  const auto [first_time, first_does] = first_action(first, 10.0);
  EXPECT_NEAR(first_time, 12.10, 0.03);
  EXPECT_EQ(first_does, Action::report);
  const auto [last_time, last_does] = first_action(last, 10.0);
  EXPECT_NEAR(last_time, 13.05, 0.03);
  EXPECT_EQ(last_does, Action::report);
  EXPECT_EQ(first_action(healthy, 10.0).second, Action::wait);
}

TEST(FailureArbiter, ARankThatHearsOfAReportLeavesWithoutAWord) {
  Reported reported;
  FailureArbiter arbiter = reported.of(60);
  arbiter.this_rank_failed({4, "lost"}, 10.0);
  arbiter.other_rank_reports(12.5);
  EXPECT_EQ(arbiter.next_action(13.4), Action::wait);
  EXPECT_EQ(arbiter.next_action(13.6), Action::leave);
  arbiter.leave();
  EXPECT_EQ(reported.reason, "");
  EXPECT_EQ(reported.exit_code, 4);
}

// 50 ms between two ranks are not enough where a machine is busy: the one that should come second knows of
// the first, and gives it a second.
TEST(FailureArbiter, AFailedRankGivesWayToOneThatItKnowsOf) {
  Reported reported;
  FailureArbiter lower = reported.of(1), higher = reported.of(2);
  lower.this_rank_failed({3, "the disk is full"}, 10.0);
  higher.other_rank_failed(1, {3, "the disk is full"}, 10.0);
  higher.this_rank_failed({4, "rank 1 failed"}, 10.0);
  EXPECT_NEAR(first_action(lower, 10.0).first, 12.1, 0.03);
  EXPECT_NEAR(first_action(higher, 10.0).first, 13.15, 0.03);

  // A rank that fails only because another did does not tell that one, so the other cannot give way to it.
  FailureArbiter follower = reported.of(1), cause = reported.of(2);
  cause.this_rank_failed({3, "the disk is full"}, 10.0);
  follower.other_rank_failed(2, {3, "the disk is full"}, 10.0);
  follower.this_rank_failed({4, "rank 2 failed"}, 10.0);
  EXPECT_NEAR(first_action(cause, 10.0).first, 12.15, 0.03);
  EXPECT_NEAR(first_action(follower, 10.0).first, 13.1, 0.03);
}

TEST(FailureArbiter, RankZeroThatWakesUpDoesNotReportAgain) {
  Reported reported;
  FailureArbiter arbiter = reported.of(0);
  arbiter.other_rank_failed(1, {4, "rank 0 did not come"}, 10.0);
  arbiter.other_rank_reports(10.0);
  EXPECT_EQ(arbiter.next_action(10.9), Action::wait);
  EXPECT_EQ(arbiter.next_action(11.1), Action::leave);
}

// It was stopped while it collected failures. Its time is long over when it wakes, but the report of another
// rank has come meanwhile and is read before it speaks.
TEST(FailureArbiter, RankZeroThatWasStoppedAfterItHeardOfAFailureListensFirst) {
  Reported reported;
  FailureArbiter arbiter = reported.of(0);
  arbiter.other_rank_failed(1, {3, "the disk is full"}, 10.0);
  EXPECT_EQ(arbiter.next_action(10.01), Action::wait);
  EXPECT_EQ(arbiter.next_action(13.0), Action::wait);
  arbiter.other_rank_reports(13.0);
  EXPECT_EQ(arbiter.next_action(13.1), Action::wait);
  EXPECT_EQ(arbiter.next_action(14.1), Action::leave);
}

}  // namespace
}  // namespace headwater::comm
