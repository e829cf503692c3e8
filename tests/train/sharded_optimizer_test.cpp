// ZeRO-1 changes where masters and moments lie, and nothing else. sharded_optimizer_full_test.cpp has more.

#include "tests/train/sharded_optimizer.h"

namespace headwater {
namespace {

TEST(ShardedOptimizer, TrainsToTheSameBits) { test::expect_sharding_changes_nothing(test::kFour); }

TEST(ShardedOptimizer, ItsCheckpointGoesOnOnOneRank) {
  test::expect_equal_curves(test::train_at_both(test::sharded(test::kTwo), test::kOne).curve,
                            test::train(test::kOne, test::kShardedSteps).curve, "one rank");
}

}  // namespace
}  // namespace headwater
