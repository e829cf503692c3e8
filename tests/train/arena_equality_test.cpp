// What an engine takes from its arena is what the descriptions say it takes, to the byte.

#include "headwater/backend/cpu_backend.h"
#include "headwater/train/engine.h"

#include "tests/support/models.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include <ostream>

namespace headwater {
namespace {

struct Case {
  const char* name;
  int ranks;
  std::vector<std::int64_t> stages;  // layers of each; empty: one stage
  bool sharded_optimizer = false;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class ArenaEquality : public testing::TestWithParam<Case> {};

RankLayoutRequest request_of(const Case& layout, const test::ModelOptions& model, Precision precision,
                             bool training, const RecomputeLayout& recompute) {
  RankLayoutRequest request;
  request.model = expand(test::small_model(model, 10));
  if (!layout.stages.empty()) {
    request.parallel.pipeline_model_parallel_size = static_cast<std::int64_t>(layout.stages.size());
    request.parallel.pipeline_layout = {false, layout.stages};
  }
  request.parallel.recompute = recompute;
  request.parallel.use_distributed_optimizer = layout.sharded_optimizer;
  request.batch = {3, 9};
  request.micro_batches = 5;
  request.precision = precision;
  request.training = training;
  return request;
}

// A word on every stage; and the first layer of each stage in full, where it has one.
std::vector<RecomputeLayout> recomputations(const Case& layout) {
  std::vector<RecomputeLayout> all = {{"none", {}}, {"selective", {}}, {"full", {}}, {}};
  for (const std::int64_t layers : layout.stages)
    all.back().stages.emplace_back(std::min<std::int64_t>(layers, 1));
  return all;
}

void check(World& world, const RankLayoutRequest& request) {
  const RankLayout layout(request, world.rank(), world.size());
  const Engine engine(world, layout, make_cpu_backend({}));
  const std::vector<Arena::Segment> taken = engine.arena().segments();
  ASSERT_EQ(taken.size(), layout.segments.size());
  for (std::size_t i = 0; i < taken.size(); ++i) {
    EXPECT_EQ(taken[i].name, layout.segments[i].name);
    EXPECT_EQ(taken[i].taken, layout.segments[i].bytes) << taken[i].name;
    EXPECT_EQ(taken[i].reserved, layout.segments[i].bytes) << taken[i].name;
  }
}

TEST_P(ArenaEquality, ToTheByte) {
  const Case& layout = GetParam();
  run_on_threads(layout.ranks, [&](World& world) {
    for (const bool training : {true, false})
      for (const DType compute : {DType::f32, DType::bf16})
        for (const test::ModelOptions& model :
             {test::ModelOptions{.layers = 4},
              {.dropout = 0.1, .layers = 4},
              {.lfa = false, .layers = 4},
              {.lfa = false, .tied = false, .grouped = true, .dropout = 0.1, .layers = 4}})
          for (const RecomputeLayout& recompute : recomputations(layout)) {
            SCOPED_TRACE(fmt::format("rank {}, {}, {}, LFA {}, dropout {}, recompute {}{}", world.rank(),
                                     name_of(compute), training ? "training" : "inference", model.lfa,
                                     model.dropout, recompute.all, recompute.stages.size()));
            check(world, request_of(layout, model, {compute, DType::f32}, training, recompute));
          }
  });
}

// The head of a GPU's run takes more tokens at a time.
TEST(ArenaOfAGpu, ToTheByte) {
  run_on_threads(2, [](World& world) {
    RankLayoutRequest request =
        request_of({"even", 2, {2, 2}}, {.layers = 4}, {DType::bf16, DType::f32}, true, {"none", {}});
    request.model.vocabulary = 20000;
    request.batch = {3, 100};
    const auto scratch = [&](Device::Kind device) {
      request.device = device;
      check(world, request);
      return scratch_bytes(request.model, RankLayout(request, world.rank(), world.size()).memory);
    };
    const std::int64_t on_cpu = scratch(Device::Kind::cpu), on_gpu = scratch(Device::Kind::cuda);
    const bool head = world.rank() == 1;
    EXPECT_GE(on_gpu - on_cpu, head ? (300 - 256) * 20000 * 2 : 0);
    EXPECT_EQ(on_gpu == on_cpu, !head);
  });
}

INSTANTIATE_TEST_SUITE_P(Layouts, ArenaEquality,
                         testing::Values(Case{"one", 1, {}}, Case{"even", 2, {2, 2}},
                                         Case{"uneven", 2, {3, 1}}, Case{"four", 4, {1, 1, 1, 1}},
                                         Case{"ends_alone", 4, {0, 3, 1, 0}}, Case{"data", 2, {}},
                                         Case{"both", 4, {1, 3}}, Case{"sharded", 3, {}, true},
                                         Case{"sharded_both", 6, {1, 3}, true}),
                         [](const testing::TestParamInfo<Case>& c) { return c.param.name; });

}  // namespace
}  // namespace headwater
