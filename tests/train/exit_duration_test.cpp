// training.exit_duration_in_mins: a run stops by rank 0's clock, after the same step on every rank, and goes
// on from there.

#include "tests/train/training_run.h"

#include "headwater/base/clock.h"

namespace headwater {
namespace {

const test::Layout kFour = test::pipeline("pipeline 2 x data 2", 4, 2, "[3,1]");
constexpr int kSteps = 3;

TEST(ExitDuration, StopsAfterAStepAndGoesOnToTheSameBits) {
  const TemporaryFolder folder;
  const std::vector<std::string> at_once = {"training.exit_duration_in_mins=1e-9"};
  for (std::size_t step = 1; step <= kSteps; ++step) {
    const test::TrainingRun run = test::train_in(folder / "save", kFour, kSteps, at_once);
    EXPECT_EQ(run.curve.losses.size(), step);
    EXPECT_EQ(run.printed.find("exit_duration_in_mins is 1e-09") != std::string::npos, step < kSteps)
        << run.printed;
  }
  const test::TrainingRun whole = test::train(kFour, kSteps, {"training.exit_duration_in_mins=1000"});
  test::expect_same_bits(test::train_in(folder / "save", kFour, kSteps), whole, "stopped after every step");
}

TEST(ExitDuration, IsInMinutes) {
  const TemporaryFolder folder;
  const Stopwatch watch;
  const test::TrainingRun run =
      test::train_in(folder / "save", {"one rank", 1, {}}, 1000000, {"training.exit_duration_in_mins=0.01"});
  EXPECT_GT(watch.seconds(), 0.3);  // 0.6 less what the last step was overestimated by
  EXPECT_LT(watch.seconds(), 60.0);
  EXPECT_NE(run.printed.find("stopped after step"), std::string::npos);
}

}  // namespace
}  // namespace headwater
