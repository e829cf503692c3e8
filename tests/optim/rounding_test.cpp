// Weights that are rounded by chance come out the same however their parameters are cut over tensor ranks.

#include "headwater/optim/optimizer.h"

#include "headwater/backend/cpu_backend.h"
#include "headwater/comm/world.h"
#include "headwater/nn/unit_record.h"
#include "headwater/stage/initialize.h"

#include "tests/support/models.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace headwater {
namespace {

struct Part {
  Slice slice;
  std::vector<std::uint16_t> bits;
};
using Weights = std::map<std::string, Part>;

// After an update that leaves the masters as they were initialised.
Weights rounded(const Sharding& sharding, int tensor_rank, bool by_chance) {
  const ModelSpec model = expand(test::small_model({.grouped = true}, 8));
  const Precision precision{DType::bf16, DType::f32};
  const ParameterLayout layout(model, {{0, model.units(), true, true}}, sharding,
                               {.tensor_rank = tensor_rank});
  const std::unique_ptr<World> world = make_self_world();
  const std::unique_ptr<Communicator> group = world->group("world", {0});
  const std::unique_ptr<Backend> backend = make_cpu_backend({});
  Arena arena{Device{}};
  for (const char* segment : {"weights", "master", "gradients"})
    arena.reserve(segment, aligned(4 * layout.elements()));
  arena.reserve("optimizer", 2 * aligned(4 * layout.elements()));
  const std::int64_t workspace =
      aligned(op_workspace_bytes({.model = model, .batch = {1, 8}, .precision = precision}, true, 1));
  arena.reserve("workspace", workspace);
  arena.reserve("constants", aligned(8 * kStepScalars));
  backend->use_workspace(arena.take("workspace", DType::i32, {workspace / 4}));
  ParameterStore store(layout, arena, precision, true);
  OptimizerConfig config;
  config.weight_decay = 0.0;
  config.stochastic_rounding = by_chance;
  Optimizer optimizer(config, store, *backend,
                      {[&](AxisSet) -> Communicator& { return *group; }, *group, *group},
                      arena.take("constants", DType::f64, {kStepScalars}), TensorView(), RandomKey{5});
  initialize(store, *backend, 1, 1);
  optimizer.begin_step(1e-3, 8.0);
  optimizer.reduce();
  optimizer.update();
  StepScalars scalars = optimizer.read();
  EXPECT_EQ(at(scalars, StepScalar::apply), 1.0);

  Weights weights;
  for (const ParameterPlace& place : layout.places()) {
    Part& part = weights[place.spec.name];
    part.slice = place.slice();
    part.bits.resize(static_cast<std::size_t>(part.slice.count));
    std::memcpy(part.bits.data(), store.weights().as<bf16>() + place.offset, 2 * part.bits.size());
  }
  return weights;
}

TEST(Rounding, IsTheSameOnTensorRanks) {
  const Weights whole = rounded({}, 0, true), nearest = rounded({}, 0, false);
  std::int64_t others = 0;
  for (const auto& [name, part] : whole)
    for (std::size_t i = 0; i < part.bits.size(); ++i)
      others += part.bits[i] != nearest.at(name).bits[i] ? 1 : 0;
  EXPECT_GT(others, 100);

  for (int rank = 0; rank < 2; ++rank) {
    for (const auto& each : rounded({.tensor = 2}, rank, true)) {
      const std::string& name = each.first;
      const Part &part = each.second, &all = whole.at(name);
      const auto same = [&](std::int64_t from, std::int64_t to, std::int64_t count) {
        EXPECT_EQ(
            std::memcmp(part.bits.data() + from, all.bits.data() + to, 2 * static_cast<std::size_t>(count)),
            0)
            << name << " of rank " << rank;
      };
      EXPECT_EQ(for_shared_runs(part.slice, all.slice, same), part.slice.count) << name;
    }
  }
}

}  // namespace
}  // namespace headwater
