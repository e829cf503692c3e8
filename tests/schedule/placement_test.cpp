#include "headwater/schedule/placement.h"

#include "headwater/base/error.h"

#include <gtest/gtest.h>

#include <vector>

namespace headwater {
namespace {

std::vector<int> ranks_of(const Placement& placement) {
  std::vector<int> ranks;
  for (int stage = 0; stage < placement.stages(); ++stage) ranks.push_back(placement.rank_of(stage));
  return ranks;
}

TEST(Placement, GoesRoundTheRanks) {
  EXPECT_EQ(ranks_of(Placement(3, 1)), (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(ranks_of(Placement(3, 2)), (std::vector<int>{0, 1, 2, 0, 1, 2}));
}

TEST(Placement, FoldedComesBack) {
  EXPECT_EQ(ranks_of(Placement(3, 2, true)), (std::vector<int>{0, 1, 2, 2, 1, 0}));
}

TEST(Placement, FindsTheStageOfAChunk) {
  for (const Placement& placement :
       {Placement(1, 1), Placement(4, 1), Placement(3, 3), Placement(3, 2, true)})
    for (int stage = 0; stage < placement.stages(); ++stage)
      EXPECT_EQ(placement.stage_of(placement.rank_of(stage), placement.chunk_of(stage)), stage);
}

TEST(Placement, FoldsTwoChunksOnly) { EXPECT_THROW(Placement(3, 3, true), InternalError); }

}  // namespace
}  // namespace headwater
