// A pipeline's schedule does not change what is trained nor what an evaluation finds: a few steps under those
// that split a rank or a backward, on stages as unequal as four layers allow. schedules_full_test.cpp takes
// all of them.

#include "tests/train/training_run.h"

namespace headwater {
namespace {

using test::scheduled;

constexpr int kSteps = 2;
const std::vector<std::string> kMore = {"model.hidden_dropout=0.1", "training.eval_interval=2",
                                        "training.eval_iters=2", "data.split=[9,1,0]"};

TEST(Schedules, TrainTheSame) {
  const test::TrainingRun one = test::train({"one rank", 1, {}}, kSteps, kMore);
  EXPECT_FALSE(one.curve.validations.empty());
  for (const test::Layout& layout : {scheduled("interleaved", 2, "[0,1,2,1]"), scheduled("zb-h1", 2, "[3,1]"),
                                     scheduled("zb-v", 1, "[1,3]"), scheduled("zb-v", 2, "[1,1,2,0]")})
    test::expect_equal_curves(test::train(layout, kSteps, kMore).curve, one.curve, layout.name);
}

// Every schedule sums a stage's gradients in the order of the micro-batches.
TEST(Schedules, OfTheSamePlacementFindTheSameBits) {
  const test::TrainingRun plain = test::train(scheduled("1f1b", 2, "[1,3]"), kSteps, kMore);
  for (const char* schedule : {"gpipe", "zb-h1"})
    test::expect_same_bits(test::train(scheduled(schedule, 2, "[1,3]"), kSteps, kMore), plain, schedule);
}

}  // namespace
}  // namespace headwater
