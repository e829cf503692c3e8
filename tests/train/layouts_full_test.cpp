// The layout of a run does not change its result: what equivalence_full_test.cpp does not mix, masked targets
// and micro-batches of several sizes.

#include "tests/train/training_run.h"

namespace headwater {
namespace {

using test::Layout;
using test::pipeline;

constexpr int kSteps = 20;
const Layout kOne{"one rank", 1, {}};
const Layout kLayouts[] = {
    pipeline("pipeline 2, even", 2, 2, "[2,2]"),
    pipeline("pipeline 2, the first long", 2, 2, "[3,1]"),
    pipeline("pipeline 2, the last long", 2, 2, "[1,3]"),
    pipeline("pipeline 4, even", 4, 4, "uniform"),
    pipeline("pipeline 4, ends alone", 4, 4, "[0,3,1,0]"),
    {"data 2", 2, {}},
    {"data 4", 4, {}},
    pipeline("pipeline 2 x data 2", 4, 2, "[3,1]"),
};

// Some samples have many documents' ends, others none: a mean of means would show.
TEST(Layouts, AllFindTheSameWithMaskedTargets) {
  const std::vector<std::string> masked = {"data.eod_mask_loss=true", "data.reset_attention_mask=true"};
  const test::TrainingRun one = test::train(kOne, kSteps, masked);
  for (const Layout& layout : kLayouts)
    test::expect_equal_curves(test::train(layout, kSteps, masked).curve, one.curve, layout.name);
}

TEST(Layouts, TheSizeOfMicroBatchesDoesNotMatter) {
  const std::vector<std::string> dropout = {"model.hidden_dropout=0.1", "training.global_batch_size=8"};
  const test::TrainingRun one = test::train(kOne, kSteps, dropout);
  for (const char* size : {"2", "4"})
    for (const Layout& layout : {kOne, pipeline("pipeline 2 x data 2", 4, 2, "[1,3]")}) {
      std::vector<std::string> more = dropout;
      more.push_back(std::string("training.micro_batch_size=") + size);
      test::expect_equal_curves(test::train(layout, kSteps, more).curve, one.curve, layout.name);
    }
}

}  // namespace
}  // namespace headwater
