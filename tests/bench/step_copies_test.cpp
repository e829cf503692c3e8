// A step copies no tensor of the residual stream from one place of a rank's memory to another: what a stage
// receives, or is handed over by the stage before it on its rank, is read where it arrives. Where the
// gradients are taken apart that holds for the gradient too, which a later weight gradient reads.

#include "headwater/backend/ops.h"
#include "headwater/config/load_config.h"
#include "src/bench/random_training.h"

#include <gtest/gtest.h>

namespace headwater {
namespace {

void expect_no_copy(int ranks, const std::vector<std::string>& overrides) {
  std::vector<std::string> all = {"model.preset=yuan2-tiny", "training.micro_batch_size=1",
                                  "training.seq_length=16", "training.global_batch_size=6",
                                  "training.dtype=fp32"};
  all.insert(all.end(), overrides.begin(), overrides.end());
  const RunConfig run = load_config({}, all).run;
  run_on_threads(ranks, [&](World& world) {
    RandomTraining training(world, run, {.dtype = "fp32"});
    training.backend().measure(true);
    training.step();
    const std::map<std::string, OpTotals> totals = training.backend().take_totals();
    EXPECT_TRUE(totals.contains("to_device"));  // it has been counted
    EXPECT_FALSE(totals.contains(std::string(op::Copy::kName))) << "rank " << world.rank();
  });
}

std::string pipeline(int ranks) { return "parallel.pipeline_model_parallel_size=" + std::to_string(ranks); }

TEST(StepCopies, NoneWhereBackwardsAreWhole) {
  expect_no_copy(2, {pipeline(2)});
  expect_no_copy(3, {pipeline(3), "parallel.pipeline_layout=[0,4,0]"});  // embedding and head alone
  expect_no_copy(2, {pipeline(2), "parallel.recompute=full"});
}

TEST(StepCopies, NoneWhereGradientsAreTakenApart) {
  expect_no_copy(2, {pipeline(2), "parallel.pipeline_schedule=zb-h1"});
  expect_no_copy(2, {pipeline(2), "parallel.pipeline_schedule=zb-h1", "model.hidden_dropout=0.1"});
  expect_no_copy(2, {pipeline(2), "parallel.pipeline_schedule=zb-v"});
  expect_no_copy(4, {pipeline(2), "parallel.pipeline_schedule=zb-h1", "parallel.tensor_model_parallel_size=2",
                     "parallel.sequence_parallel=true"});
}

}  // namespace
}  // namespace headwater
