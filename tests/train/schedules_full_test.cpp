#include "headwater/schedule/schedule_table.h"
#include "tests/train/training_run.h"

#include <map>

namespace headwater {
namespace {

using test::scheduled;

// Micro-batches: 4, so fewer than ranks, as many, and more.
TEST(Schedules, AllTrainTheSame) {
  const std::vector<std::string> more = {"model.hidden_dropout=0.1", "training.eval_interval=5",
                                         "training.eval_iters=2", "data.split=[9,1,0]"};
  constexpr int kSteps = 10;
  const test::TrainingRun one = test::train({"one rank", 1, {}}, kSteps, more);
  std::vector<test::Layout> layouts = {scheduled("interleaved", 1, "[0,1,1,2,0]", 5),
                                       scheduled("interleaved", 2, "[3,1]", 1),
                                       scheduled("interleaved", 2, "[0,1,1,1,1,0]", 3)};
  const std::map<int, const char*> layers = {// by virtual stages
                                             {1, "[4]"},
                                             {2, "[1,3]"},
                                             {3, "[1,2,1]"},
                                             {4, "[2,1,1,0]"},
                                             {6, "[0,1,1,1,1,0]"}};
  for (const ScheduleKind& kind : schedule_kinds())
    for (const int ranks : {1, 2, 3, 6})
      if (const auto found = layers.find(ranks * kind.default_chunks); found != layers.end())
        layouts.push_back(scheduled(std::string(kind.name), ranks, found->second));
  for (const test::Layout& layout : layouts)
    test::expect_equal_curves(test::train(layout, kSteps, more).curve, one.curve, layout.name);
}

}  // namespace
}  // namespace headwater
