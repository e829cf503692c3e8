#include "src/comm/last_words.h"

#include <gtest/gtest.h>

namespace headwater::comm {
namespace {

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
  EXPECT_FALSE(words.is_due(100.0));
  words.other_rank_failed(2, {4, "rank 3 did not come"}, 10.0);
  words.other_rank_failed(3, {3, "the disk is full"}, 10.1);
  words.other_rank_failed(1, {2, "later"}, 10.1);
  EXPECT_FALSE(words.is_due(10.1));
  EXPECT_TRUE(words.is_due(10.2));
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
  EXPECT_FALSE(first.is_due(12.0));
  EXPECT_TRUE(first.is_due(12.06));
  EXPECT_FALSE(last.is_due(12.9));
  EXPECT_TRUE(last.is_due(13.0));
  EXPECT_FALSE(healthy.is_due(1000.0));
  last.other_rank_speaks(12.5);
  EXPECT_FALSE(last.is_due(17.0));
  EXPECT_TRUE(last.is_due(17.6));  // the speaker died of it
}

TEST(LastWords, RankZeroThatWakesUpDoesNotSayItAgain) {
  Spoken spoken;
  LastWords words = spoken.of(0);
  words.other_rank_failed(1, {4, "rank 0 did not come"}, 10.0);
  words.other_rank_speaks(10.0);
  EXPECT_FALSE(words.is_due(14.0));
  EXPECT_TRUE(words.is_due(15.1));
}

}  // namespace
}  // namespace headwater::comm
