#include "src/comm/last_words.h"

#include <gtest/gtest.h>

namespace headwater::comm {
namespace {

using Turn = LastWords::Turn;

struct Spoken {
  std::string reason;
  int exit_code = 0;

  LastWords of(int rank) {
    return {rank, [this](const std::string& said, int code) {
              reason = said;
              exit_code = code;
            }};
  }
};

TEST(LastWords, RankZeroCollectsAndPrefersACause) {
  Spoken spoken;
  LastWords words = spoken.of(0);
  EXPECT_EQ(words.turn(100.0), Turn::wait);
  words.other_rank_failed(2, {4, "rank 3 did not come"}, 10.0);
  words.other_rank_failed(3, {3, "the disk is full"}, 10.1);
  words.other_rank_failed(1, {2, "later"}, 10.1);
  EXPECT_EQ(words.turn(10.1), Turn::wait);
  EXPECT_EQ(words.turn(10.2), Turn::speak);
  words.speak();
  EXPECT_EQ(spoken.reason, "rank 3: the disk is full");
  EXPECT_EQ(spoken.exit_code, 3);
}

TEST(LastWords, TheSameReasonIsTheLowestRanks) {
  Spoken spoken;
  LastWords words = spoken.of(0);
  words.other_rank_failed(2, {2, "no such file"}, 10.0);
  words.this_rank_failed({2, "no such file"}, 10.05);
  words.speak();
  EXPECT_EQ(spoken.reason, "no such file");
  EXPECT_EQ(spoken.exit_code, 2);
}

TEST(LastWords, OtherRanksSpeakInTurnWhereRankZeroIsSilent) {
  Spoken spoken;
  LastWords first = spoken.of(1), last = spoken.of(60), healthy = spoken.of(2);
  first.this_rank_failed({4, "lost"}, 10.0);
  last.this_rank_failed({4, "lost"}, 10.0);
  healthy.other_rank_failed(1, {4, "lost"}, 10.0);
  EXPECT_EQ(first.turn(12.0), Turn::wait);
  EXPECT_EQ(first.turn(12.06), Turn::speak);
  EXPECT_EQ(last.turn(12.9), Turn::wait);
  EXPECT_EQ(last.turn(13.0), Turn::speak);
  EXPECT_EQ(healthy.turn(1000.0), Turn::wait);
  last.other_rank_speaks(12.5);
  EXPECT_EQ(last.turn(13.4), Turn::wait);
  EXPECT_EQ(last.turn(13.6), Turn::leave);
  last.leave();
  EXPECT_EQ(spoken.reason, "");
  EXPECT_EQ(spoken.exit_code, 4);
}

TEST(LastWords, RankZeroThatWakesUpDoesNotSayItAgain) {
  Spoken spoken;
  LastWords words = spoken.of(0);
  words.other_rank_failed(1, {4, "rank 0 did not come"}, 10.0);
  words.other_rank_speaks(10.0);
  EXPECT_EQ(words.turn(10.9), Turn::wait);
  EXPECT_EQ(words.turn(11.1), Turn::leave);
}

}  // namespace
}  // namespace headwater::comm
