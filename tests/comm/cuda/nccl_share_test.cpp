// All communicators that a rank can have find room on a GPU at once.

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

// The figures that docs/cuda.md states. On an H100 NCCL's blocks come in clusters of four. If 108 of the
// multiprocessors are taken, three could be free in each of the eight groups of multiprocessors, which is
// room for no cluster.
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
