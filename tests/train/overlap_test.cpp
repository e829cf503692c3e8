// Sums of gradients run beside the backward that they do not depend on, and new weights travel while the host
// goes on.

#include "headwater/backend/cpu_backend.h"
#include "headwater/stage/initialize.h"
#include "headwater/train/training_step.h"

#include "tests/support/models.h"

#include <gtest/gtest.h>

#include <chrono>
#include <latch>
#include <thread>

namespace headwater {
namespace {

constexpr int kLayers = 4;
constexpr double kDeadline = 10.0;

// A rank of two replicas that has a bucket for each unit.
class Replica {
 public:
  Replica(World& world, bool sharded) : world_(world) {
    world.set_timeout(kDeadline);
    RankLayoutRequest request;
    request.model = expand(test::small_model({.layers = kLayers}, 8));
    request.parallel.use_distributed_optimizer = sharded;
    request.parallel.ddp_bucket_size = 1;
    request.batch = {1, 8};
    request.micro_batches = 2;
    request.precision = {DType::f32, DType::f32};
    engine_ = std::make_unique<Engine>(world, RankLayout(request, world.rank(), world.size()),
                                       make_cpu_backend({}));
    optimizer_.emplace(make_optimizer(OptimizerConfig{.lr = 1e-3}, *engine_, 1));
    initialize(engine_->store(), engine_->backend(), 1, 1);
  }

  Engine& engine() { return *engine_; }
  Optimizer& optimizer() { return *optimizer_; }

  void play(const std::function<void(int unit)>& complete) {
    const std::vector<std::int32_t> tokens(8, world_.rank() + 1), labels(8, 3);
    optimizer_->begin_step(1e-3, 32.0);
    engine_->execute(
        engine_->layout().schedule, HeadMode::train,
        [&](int) { return make_batch(tokens, labels, 1, 8, DocumentOptions{}); }, {}, complete);
  }

  int sums_ended() const {
    int ended = 0;
    for (const FlightRecord& record : world_.flight_recorder().recent())
      ended += record.group == "gradients" && record.ended > 0.0 ? 1 : 0;
    return ended;
  }

 private:
  World& world_;
  std::unique_ptr<Engine> engine_;
  std::optional<Optimizer> optimizer_;
};

class Overlap : public testing::TestWithParam<bool> {};

TEST_P(Overlap, BucketsAreSummedBeforeTheLastBackwardEnds) {
  run_on_threads(2, [](World& world) {
    Replica replica(world, GetParam());
    const int buckets = static_cast<int>(replica.engine().layout().parameters.buckets().size());
    std::vector<int> units;
    replica.play([&](int unit) {
      units.push_back(unit);
      replica.optimizer().complete(unit);
      if (unit != 1) return;
      // The gradient of the embedding is still to come. The buckets of head and layers are summed all the
      // same.
      const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(kDeadline);
      while (replica.sums_ended() < kLayers + 1 && std::chrono::steady_clock::now() < end)
        std::this_thread::yield();
      EXPECT_EQ(replica.sums_ended(), kLayers + 1);
    });
    // Each once, after the last of the micro-batches, from the head down.
    EXPECT_EQ(units, (std::vector<int>{5, 4, 3, 2, 1, 0}));
    replica.optimizer().reduce();
    EXPECT_EQ(replica.sums_ended(), buckets);
    replica.optimizer().update();
  });
}

TEST_P(Overlap, TheHostDoesNotWaitForNewWeights) {
  std::latch updated(1);
  run_on_threads(2, [&](World& world) {
    Replica replica(world, GetParam());
    replica.play([](int) {});
    replica.optimizer().reduce();
    if (world.rank() == 1) updated.wait();  // until then it gives nobody its part of the weights
    replica.optimizer().update();
    replica.optimizer().read();
    if (world.rank() == 0) updated.count_down();
    // The next forward waits for all of them: both replicas go on with the same.
    replica.play([](int) {});
    const TensorView weights = replica.engine().store().weights();
    std::vector<std::byte> mine(weights.bytes());
    replica.engine().backend().to_host(weights, TensorView(mine.data(), weights.dtype, {weights.elements()}));
    const auto all = gather_bytes(replica.engine().world_group(), mine);
    EXPECT_EQ(all[0], all[1]);
  });
}

INSTANTIATE_TEST_SUITE_P(Optimizers, Overlap, testing::Bool(),
                         [](const testing::TestParamInfo<bool>& c) { return c.param ? "sharded" : "whole"; });

}  // namespace
}  // namespace headwater
