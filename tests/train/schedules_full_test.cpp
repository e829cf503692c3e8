#include "tests/train/training_run.h"

namespace headwater {
namespace {

using test::scheduled;

// Micro-batches: 4, so fewer than ranks, as many, and more.
TEST(Schedules, AllTrainTheSame) {
  const std::vector<std::string> more = {"model.hidden_dropout=0.1", "training.eval_interval=5",
                                         "training.eval_iters=2", "data.split=[9,1,0]"};
  constexpr int kSteps = 10;
  const test::TrainingRun one = test::train({"one rank", 1, {}}, kSteps, more);
  for (const test::Layout& layout :
       {scheduled("gpipe", 2, "[1,3]"), scheduled("gpipe", 6, "[0,1,1,1,1,0]"),
        scheduled("interleaved", 1, "[1,3]"), scheduled("interleaved", 1, "[0,1,1,2,0]", 5),
        scheduled("interleaved", 2, "[3,1]", 1), scheduled("interleaved", 2, "[0,1,1,1,1,0]", 3),
        scheduled("interleaved", 3, "[0,1,1,1,1,0]"), scheduled("zb-h1", 1, "[4]"),
        scheduled("zb-h1", 3, "[1,2,1]"), scheduled("zb-h1", 6, "[0,1,1,1,1,0]"),
        scheduled("zb-v", 1, "[4,0]"), scheduled("zb-v", 2, "[2,1,1,0]"),
        scheduled("zb-v", 3, "[0,1,1,1,1,0]")})
    test::expect_equal_curves(test::train(layout, kSteps, more).curve, one.curve, layout.name);
}

}  // namespace
}  // namespace headwater
