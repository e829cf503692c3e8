// A pipeline's schedule does not change what is trained nor what an evaluation finds: a few steps under those
// that split a rank or a backward, on stages as unequal as four layers allow. schedules_full_test.cpp takes
// all of them.

#include "headwater/schedule/schedule_table.h"
#include "tests/train/training_run.h"

#include <algorithm>

namespace headwater {
namespace {

using test::scheduled;

constexpr int kSteps = 2;
const std::vector<std::string> kMore = {"model.hidden_dropout=0.1", "training.eval_interval=2",
                                        "training.eval_iters=2", "data.split=[9,1,0]"};

// Whether a schedule splits a rank into chunks or a backward into its halves.
bool splits(const ScheduleKind& kind) {
  const Schedule schedule = make_schedule(kind.name, 2, kind.default_chunks, 2);
  return kind.default_chunks > 1 || std::ranges::any_of(schedule.actions[0], [](const Action& action) {
           return action.kind == ActionKind::input_gradient;
         });
}

TEST(Schedules, TrainTheSame) {
  const test::TrainingRun one = test::train({"one rank", 1, {}}, kSteps, kMore);
  EXPECT_FALSE(one.curve.validations.empty());
  std::vector<test::Layout> layouts;
  for (const ScheduleKind& kind : schedule_kinds()) {
    const std::string name(kind.name);
    if (!splits(kind)) continue;
    layouts.push_back(scheduled(name, 2, kind.default_chunks == 1 ? "[3,1]" : "[1,1,2,0]"));
    if (kind.folded) layouts.push_back(scheduled(name, 1, "[1,3]"));
  }
  EXPECT_FALSE(layouts.empty());
  for (const test::Layout& layout : layouts)
    test::expect_equal_curves(test::train(layout, kSteps, kMore).curve, one.curve, layout.name);
}

// Every schedule sums a stage's gradients in the order of the micro-batches.
TEST(Schedules, OfTheSamePlacementFindTheSameBits) {
  const test::TrainingRun plain = test::train(scheduled("1f1b", 2, "[1,3]"), kSteps, kMore);
  const ScheduleKind& one_chunk = schedule_kind("1f1b");
  for (const ScheduleKind& kind : schedule_kinds()) {
    if (kind.default_chunks != one_chunk.default_chunks || kind.name == one_chunk.name) continue;
    const std::string name(kind.name);
    test::expect_same_bits(test::train(scheduled(name, 2, "[1,3]"), kSteps, kMore), plain, name);
  }
}

}  // namespace
}  // namespace headwater
