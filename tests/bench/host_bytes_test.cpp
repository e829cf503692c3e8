// What a layout says that a step copies from the host is what a step does copy: the GPU backend's pinned
// memory is sized by it.

#include "headwater/config/load_config.h"
#include "headwater/tensor/arena.h"
#include "src/bench/random_training.h"

#include <gtest/gtest.h>

namespace headwater {
namespace {

void expect_copied(int ranks, const std::vector<std::string>& overrides) {
  std::vector<std::string> all = {"model.preset=yuan2-tiny", "training.micro_batch_size=3",
                                  "training.seq_length=24",
                                  "training.global_batch_size=" + std::to_string(15), "training.dtype=fp32"};
  all.insert(all.end(), overrides.begin(), overrides.end());
  const RunConfig run = load_config({}, all).run;
  run_on_threads(ranks, [&](World& world) {
    RandomTraining training(world, run, {.dtype = "fp32"});
    training.step();
    training.backend().measure(true);
    training.step();
    const OpTotals copies = training.backend().take_totals().at("to_device");
    const auto bytes = static_cast<std::int64_t>(copies.bytes) / 2;  // read, and written
    const std::int64_t stated = training.engine().layout().host_bytes();
    EXPECT_GE(stated, bytes);
    EXPECT_LT(stated, bytes + copies.calls * kAlignment);
  });
}

TEST(HostBytes, AreWhatAStepCopies) {
  expect_copied(1, {});
  expect_copied(2, {"parallel.pipeline_model_parallel_size=2"});
  expect_copied(2, {"parallel.pipeline_model_parallel_size=2", "parallel.pipeline_schedule=zb-v"});
}

}  // namespace
}  // namespace headwater
