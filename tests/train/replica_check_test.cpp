// A bit that flips in one rank's copy of a weight is found, wherever copies are; where nothing flips nothing
// is said.

#include "src/train/replica_check.h"

#include "headwater/backend/cpu_backend.h"
#include "headwater/stage/initialize.h"
#include "tests/support/models.h"
#include "tests/train/training_run.h"

#include <functional>
#include <mutex>

namespace headwater {
namespace {

struct Flip {
  int rank;
  const char* parameter;
  bool master = false;
};

struct Found {
  std::int64_t compared = 0;
  std::vector<std::string> faults;  // by rank
};

// On 8 ranks: 2 tensor, 2 data, 2 pipeline; rank = tensor + 2 · data + 4 · pipeline. Three query heads share
// a KV head.
Found check(const std::vector<Flip>& flips, const std::function<void(RankLayoutRequest&)>& change = {}) {
  RankLayoutRequest request;
  request.model = expand(test::small_model({.grouped = true, .layers = 2}, 8));
  request.parallel.tensor_model_parallel_size = 2;
  request.parallel.pipeline_model_parallel_size = 2;
  request.parallel.sequence_parallel = true;
  request.parallel.lfa_sharding = "channels";
  request.batch = {1, 8};
  request.precision = {DType::bf16, DType::f32};
  if (change) change(request);
  Found found;
  found.faults.resize(8);
  std::mutex mutex;
  run_on_threads(8, [&](World& world) {
    Engine engine(world, RankLayout(request, world.rank(), world.size()), make_cpu_backend({}));
    initialize(engine.store(), engine.backend(), 1, 1);
    for (const Flip& flip : flips) {
      if (flip.rank != world.rank()) continue;
      ParameterStore& store = engine.store();
      const TensorView values =
          store.part(flip.master ? store.masters() : store.weights(), store.place(flip.parameter));
      static_cast<unsigned char*>(values.data)[values.bytes() - 1] ^= 1U;
    }
    try {
      const std::int64_t compared = check_replicas(engine, 7);
      const std::lock_guard lock(mutex);
      found.compared = compared;
    } catch (const SystemError& error) {
      const std::lock_guard lock(mutex);
      found.faults[static_cast<std::size_t>(world.rank())] = error.what();
    }
  });
  return found;
}

// Every rank has found the same.
void expect_fault(const Found& found, const std::string& fault) {
  for (const std::string& text : found.faults)
    EXPECT_EQ(text,
              "after step 7 " + fault +
                  "; memory or a transfer has changed them: go on from a checkpoint of an earlier step");
}

TEST(ReplicaCheck, SaysNothingWhereAllIsWell) {
  const Found found = check({});
  EXPECT_EQ(found.faults, std::vector<std::string>(8));
  EXPECT_GT(found.compared, 20);
  check({}, [](RankLayoutRequest& r) { r.parallel.use_distributed_optimizer = true; });
  check({}, [](RankLayoutRequest& r) { r.parallel.lfa_sharding = "tokens"; });
}

TEST(ReplicaCheck, TwoReplicasOfAShard) {
  const std::string fault =
      "the copies of layers.0.mlp.gate.weight are not the same bits: rank 1 (tensor 1, data 0, pipeline 0), "
      "rank 3 (tensor 1, data 1, pipeline 0) differ from each other";
  expect_fault(check({{3, "layers.0.mlp.gate.weight"}}), fault);
  expect_fault(check({{3, "layers.0.mlp.gate.weight", true}}), fault);  // the master alone
  expect_fault(check({{3, "layers.0.mlp.gate.weight"}},
                     [](RankLayoutRequest& r) { r.parallel.use_distributed_optimizer = true; }),
               fault);
}

TEST(ReplicaCheck, WhatTensorRanksHoldWhole) {
  expect_fault(check({{6, "layers.1.mlp_norm.weight"}}),
               "the copies of layers.1.mlp_norm.weight are not the same bits: rank 6 (tensor 0, data 1, "
               "pipeline 1) differs "
               "from the 3 other ranks that hold it");
}

TEST(ReplicaCheck, BothEndsOfATiedEmbedding) {
  expect_fault(check({{4, "embedding.weight"}}),
               "the copies of embedding.weight are not the same bits: rank 4 (tensor 0, data 0, pipeline 1) "
               "differs from the 3 other ranks that hold it");
}

TEST(ReplicaCheck, SeveralAtOnce) {
  expect_fault(check({{0, "layers.0.mlp_norm.weight"}, {5, "layers.1.mlp.down.weight"}}),
               "the copies of layers.0.mlp_norm.weight are not the same bits: rank 0 (tensor 0, data 0, "
               "pipeline 0) differs "
               "from the 3 other ranks that hold it (2 tensors in all)");
}

// The trainer asks, and all that training does keeps copies equal.
TEST(ReplicaCheck, TrainingKeepsCopiesEqual) {
  const std::vector<std::string> more = {"training.check_weight_hash_across_dp_replicas_interval=2",
                                         "training.dtype=bf16"};
  test::Layout four = test::pipeline("pipeline 2 x data 2", 4, 2, "[3,1]"), tensor = four;
  tensor.ranks = 8;
  tensor.overrides.insert(tensor.overrides.end(),
                          {"parallel.tensor_model_parallel_size=2", "parallel.sequence_parallel=true",
                           "parallel.use_distributed_optimizer=true"});
  for (const test::Layout& layout : {four, tensor}) {
    const std::string printed = test::train(layout, 4, more).printed;
    EXPECT_EQ(printed.find("after step 1:"), std::string::npos) << printed;
    for (const char* line : {"after step 2: copies of ", "after step 4: copies of "})
      EXPECT_NE(printed.find(line), std::string::npos) << printed;
  }
}

}  // namespace
}  // namespace headwater
