// ZeRO-1 changes where masters and moments lie, and nothing else: more layouts, bf16, many buckets, every
// resume.

#include "tests/train/sharded_optimizer.h"

namespace headwater {
namespace {

using test::expect_sharding_changes_nothing, test::kFour, test::kOne, test::kTwo, test::sharded;
constexpr int kSteps = test::kShardedSteps;

const test::Layout kThree{"data 3", 3, {"training.global_batch_size=12"}};

TEST(ShardedOptimizer, TrainsToTheSameBitsOnThreeRanks) { expect_sharding_changes_nothing(kThree); }

TEST(ShardedOptimizer, TrainsToTheSameBitsInBf16) {
  expect_sharding_changes_nothing(kFour, {"training.dtype=bf16"});
}

TEST(ShardedOptimizer, TrainsToTheSameBitsInManyBuckets) {
  const std::string size = "parallel.ddp_bucket_size=1000", no_clipping = "optimizer.clip_grad=0";
  expect_sharding_changes_nothing(kThree, {size});
  expect_sharding_changes_nothing(kFour, {size});
  EXPECT_EQ(test::train(sharded(kFour), kSteps, {no_clipping, size}).weights,
            test::train(sharded(kFour), kSteps, {no_clipping}).weights);
}

TEST(ShardedOptimizer, ClipsByTheNormOfAllRanks) {
  const std::vector<std::string> clip = {"optimizer.clip_grad=0.1"};
  const test::TrainingRun one = test::train(kOne, kSteps, clip),
                          four = test::train(sharded(kFour), kSteps, clip);
  test::expect_equal_curves(four.curve, one.curve, kFour.name);
  test::expect_same_bits(test::train(sharded(kFour), kSteps, clip), four, "the same again");
  for (const double norm : one.curve.norms) EXPECT_GT(norm, 0.1);
}

TEST(ShardedOptimizer, ACheckpointOfAnyRunGoesOnInAnyOther) {
  const test::TrainingRun straight = test::train(kOne, kSteps);
  const std::vector<std::pair<test::Layout, test::Layout>> pairs = {
      {kOne, sharded(kTwo)}, {sharded(kTwo), kTwo}, {kTwo, sharded(kFour)}, {sharded(kFour), sharded(kTwo)}};
  for (const auto& [wrote, reads] : pairs) {
    SCOPED_TRACE(std::string(wrote.name) + " to " + reads.name);
    test::expect_equal_curves(test::train_at_both(wrote, reads).curve, straight.curve, reads.name);
  }
}

// A run that stopped and went on at its own layout ends with the bits of one that did not.
TEST(ShardedOptimizer, AResumeIsTheSameBits) {
  test::expect_same_bits(test::train_at_both(sharded(kFour), sharded(kFour)),
                         test::train(sharded(kFour), kSteps), kFour.name);
}

}  // namespace
}  // namespace headwater
