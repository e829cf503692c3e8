#include "headwater/run/global_batch.h"

#include "headwater/base/error.h"
#include "headwater/run/rank_layout.h"
#include "headwater/schedule/schedule_table.h"
#include "tests/support/models.h"

#include <gtest/gtest.h>

namespace headwater {
namespace {

using Sizes = std::vector<std::int64_t>;

// The samples of each step until the batch has been full twice.
Sizes steps_of(const BatchRamp& ramp) {
  Sizes sizes;
  for (std::int64_t consumed = 0; sizes.size() < 2 || sizes[sizes.size() - 2] < ramp.full();
       consumed += sizes.back())
    sizes.push_back(ramp.batch_after(consumed));
  return sizes;
}

// Three increments in 12 samples: one for each 4.
TEST(BatchRamp, GrowsWithTheSamplesConsumed) {
  const BatchRamp ramp(2, 2, 12, 8);
  EXPECT_EQ(steps_of(ramp), (Sizes{2, 2, 4, 6, 8, 8}));
  EXPECT_EQ(ramp.smaller(), (Sizes{2, 4, 6}));
  EXPECT_EQ(ramp.batch_after(3), 2);
  EXPECT_EQ(ramp.batch_after(11), 6);
  EXPECT_EQ(ramp.batch_after(12), 8);
  EXPECT_EQ(ramp.batch_after(std::int64_t{1} << 50), 8);
}

// Megatron-LM's own example: --rampup-batch-size 16 8 300000 --global-batch-size 1024: 126 increments of
// 2380.95 samples.
TEST(BatchRamp, PartsNeedNotBeWhole) {
  const BatchRamp ramp(16, 8, 300000, 1024);
  EXPECT_EQ(ramp.smaller().size(), 126U);
  EXPECT_EQ(ramp.batch_after(2380), 16);
  EXPECT_EQ(ramp.batch_after(2381), 24);
  EXPECT_EQ(ramp.batch_after(4761), 24);
  EXPECT_EQ(ramp.batch_after(4762), 32);
  EXPECT_EQ(ramp.batch_after(299999), 1016);
}

TEST(BatchRamp, MayBeFullAtOnce) {
  EXPECT_EQ(steps_of(BatchRamp(8, 0, 0, 8)), (Sizes{8, 8}));
  EXPECT_EQ(steps_of(BatchRamp(8, 3, 100, 8)), (Sizes{8, 8}));
  EXPECT_TRUE(BatchRamp(8, 3, 100, 8).smaller().empty());
  EXPECT_EQ(steps_of(BatchRamp(4, 4, 1, 8)), (Sizes{4, 8, 8}));  // passed by in one step
}

RunConfig a_run(Sizes ramp, std::int64_t full = 24) {
  RunConfig run;
  run.model = test::small_model({.layers = 4}, 16);
  run.training.seq_length = 16;
  run.training.micro_batch_size = 2;
  run.training.global_batch_size = full;
  run.training.rampup_batch_size = std::move(ramp);
  run.parallel.pipeline_model_parallel_size = 2;
  return run;
}

std::string refusal(const RunConfig& run, int ranks) {
  try {
    batch_ramp(run, ranks);
  } catch (const UserError& error) {
    return error.what();
  }
  return "no refusal";
}

TEST(BatchRamp, EveryBatchIsSharedOutInWholeMicroBatches) {
  EXPECT_EQ(refusal(a_run({7, 1, 100}), 4),
            "training.rampup_batch_size is [7,1,100]: its start 7 must be a multiple of "
            "training.micro_batch_size 2 x "
            "data-parallel size 2 = 4, such as 8");
  EXPECT_EQ(refusal(a_run({8, 2, 100}), 4),
            "training.rampup_batch_size is [8,2,100]: its increment 2 must be a multiple of "
            "training.micro_batch_size 2 x "
            "data-parallel size 2 = 4, such as 4");
  EXPECT_EQ(refusal(a_run({4, 10, 100}), 4),  // of 20: 4 and 20 would do
            "training.rampup_batch_size is [4,10,100]: its increment 10 must be a multiple of "
            "training.micro_batch_size 2 x "
            "data-parallel size 2 = 4, such as 4");
  EXPECT_EQ(refusal(a_run({4, 4, 100}, 26), 4),
            "training.global_batch_size is 26: it must be a multiple of training.micro_batch_size 2 x "
            "data-parallel size 2 = 4, "
            "such as 28");
  EXPECT_EQ(refusal(a_run({8, 2, 100}), 2), "no refusal");
  EXPECT_EQ(refusal(a_run({24, 5, 100}), 4), "no refusal");
}

// Rounds of 4 samples: 1 to 5 micro-batches, then 6.
TEST(BatchRamp, ThereIsASchedulePerSizeAndMemoryForEach) {
  for (const std::string& schedule : schedule_names()) {
    RunConfig run = a_run({4, 4, 100});
    run.parallel.pipeline_schedule = schedule;
    const RankLayoutRequest request = training_request(run, {"fp32", 1}, 4);
    EXPECT_EQ(request.micro_batches, 6);
    EXPECT_EQ(request.ramp, (std::vector<int>{1, 2, 3, 4, 5}));
    const RankLayout ramped(request, 2, 4);
    for (int micro_batches = 1; micro_batches <= 6; ++micro_batches) {
      EXPECT_EQ(ramped.schedules->of(micro_batches).source.micro_batches, micro_batches);
      RankLayoutRequest constant = request;
      constant.ramp.clear();
      constant.micro_batches = micro_batches;
      const RankLayout alone(constant, 2, 4);
      for (std::size_t i = 0; i < alone.segments.size(); ++i)
        EXPECT_GE(ramped.segments[i].bytes, alone.segments[i].bytes)
            << schedule << ", " << ramped.segments[i].name;
    }
    EXPECT_THROW(static_cast<void>(ramped.schedules->of(7)), InternalError);
  }
}

}  // namespace
}  // namespace headwater
