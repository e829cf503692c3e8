// What all communicators that a rank can have may take of a GPU at once finds room on it.

#include "src/comm/cuda/nccl_share.h"

#include <gtest/gtest.h>

namespace headwater::comm {
namespace {

using enum Traffic::Collectives;

int worst(int multiprocessors) {
  return kMostAwaited * most_blocks(awaited, multiprocessors) +
         kMostBeside * most_blocks(beside, multiprocessors) +
         kMostMessages * most_blocks(none, multiprocessors) +
         kMostScalars * most_blocks(scalars, multiprocessors);
}

TEST(NcclShare, OfAllCommunicatorsFindsRoomOnAnyGpu) {
  for (int multiprocessors = 20; multiprocessors <= 256; ++multiprocessors)
    EXPECT_LT(worst(multiprocessors), multiprocessors);
  for (int multiprocessors = 32; multiprocessors <= 256; ++multiprocessors)
    EXPECT_LE(worst(multiprocessors), 3 * multiprocessors / 4 + 2) << multiprocessors;
}

// As docs/cuda.md states it. NCCL's blocks come in clusters of four on an H100. Where 108 of its
// multiprocessors are taken, three of each of its eight groups could be free: room, but for no cluster.
TEST(NcclShare, OfAnH100AndAnA100) {
  EXPECT_EQ(most_blocks(awaited, 132), 32);
  EXPECT_EQ(most_blocks(beside, 132), 8);
  EXPECT_EQ(most_blocks(none, 132), 4);
  EXPECT_EQ(most_blocks(scalars, 132), 1);
  EXPECT_EQ(worst(132), 98);
  EXPECT_LT(worst(132), 132 - 3 * 8);
  EXPECT_EQ(worst(108), 50);
}

}  // namespace
}  // namespace headwater::comm
