#include "headwater/layout/stage_layout.h"

#include "headwater/base/error.h"
#include "headwater/schedule/schedule_table.h"

#include <gtest/gtest.h>

namespace headwater {
namespace {

ModelSpec model_of(int layers) {
  ModelSpec model;
  model.vocabulary = 1000;
  model.hidden = 8;
  LayerSpec layer;
  layer.hidden = 8;
  layer.heads = layer.kv_heads = 2;
  layer.head_dim = 4;
  layer.ffn = 32;
  model.layers.assign(static_cast<std::size_t>(layers), layer);
  return model;
}

ParallelConfig parallel_of(std::int64_t pipeline, std::vector<std::int64_t> layers = {},
                           std::int64_t chunks = 1) {
  ParallelConfig parallel;
  parallel.pipeline_model_parallel_size = pipeline;
  parallel.num_chunks = chunks;
  parallel.pipeline_layout = {layers.empty(), std::move(layers)};
  return parallel;
}

std::vector<int> layers_of(const StageLayout& layout) {
  std::vector<int> layers;
  for (int stage = 0; stage < layout.stages(); ++stage) layers.push_back(layout.stage(stage).layers());
  return layers;
}

TEST(StageLayout, PlacementFollowsTheSchedule) {
  for (const ScheduleKind& kind : schedule_kinds()) {
    ParallelConfig parallel = parallel_of(2, {}, 0);
    parallel.pipeline_schedule = kind.name;
    EXPECT_EQ(placement_of(parallel), Placement(2, kind.default_chunks, kind.folded)) << kind.name;
    if (!kind.takes_any_chunks()) continue;
    parallel.num_chunks = 3;
    EXPECT_EQ(placement_of(parallel), Placement(2, 3, kind.folded)) << kind.name;
  }
}

TEST(StageLayout, CutsUnevenly) {
  const ModelSpec model = model_of(24);
  const StageLayout layout(model, parallel_of(8, {2, 2, 3, 3, 4, 4, 4, 2}));
  EXPECT_EQ(layers_of(layout), (std::vector<int>{2, 2, 3, 3, 4, 4, 4, 2}));
  int next = 0;
  for (int stage = 0; stage < 8; ++stage) {
    const StageUnits& units = layout.stage(stage);
    EXPECT_EQ(units.first, next);
    EXPECT_EQ(units.has_embedding, stage == 0);
    EXPECT_EQ(units.has_head, stage == 7);
    for (int unit = units.first; unit < units.last; ++unit) EXPECT_EQ(layout.stage_of_unit(unit), stage);
    next = units.last;
  }
  EXPECT_EQ(next, model.units());
}

TEST(StageLayout, CutsUniformly) {
  EXPECT_EQ(layers_of(StageLayout(model_of(12), parallel_of(3))), (std::vector<int>{4, 4, 4}));
  EXPECT_EQ(layers_of(StageLayout(model_of(12), parallel_of(3, {}, 2))),
            (std::vector<int>{2, 2, 2, 2, 2, 2}));
}

TEST(StageLayout, OneStageHoldsAll) {
  const StageLayout layout(model_of(3), parallel_of(1));
  EXPECT_EQ(layout.stages(), 1);
  EXPECT_EQ(layout.stage(0).first, 0);
  EXPECT_EQ(layout.stage(0).last, 5);
  EXPECT_TRUE(layout.stage(0).has_embedding && layout.stage(0).has_head);
}

TEST(StageLayout, LeavesEmbeddingOrHeadAlone) {
  const StageLayout layout(model_of(3), parallel_of(4, {0, 2, 1, 0}));
  EXPECT_EQ(layout.stage(0).first, 0);
  EXPECT_EQ(layout.stage(0).last, 1);
  EXPECT_EQ(layout.stage(3).first, 4);
  EXPECT_EQ(layout.stage(3).last, 5);
  EXPECT_EQ(layers_of(layout), (std::vector<int>{0, 2, 1, 0}));
}

std::string refusal(int layers, const ParallelConfig& parallel) {
  try {
    StageLayout(model_of(layers), parallel);
  } catch (const UserError& error) {
    EXPECT_EQ(error.exit_code(), 2);
    return error.what();
  }
  return {};
}

TEST(StageLayout, RefusesAListThatDoesNotFit) {
  EXPECT_EQ(refusal(4, parallel_of(2, {1, 2, 1})),
            "parallel.pipeline_layout [1,2,1] has 3 entries; it needs 2, one per stage "
            "(pipeline_model_parallel_size 2 "
            "x num_chunks 1)");
  EXPECT_EQ(refusal(4, parallel_of(2, {1, 2})),
            "parallel.pipeline_layout [1,2] adds up to 3 layers; it must add up to model.num_layers, 4");
  EXPECT_EQ(refusal(4, parallel_of(2, {5, -1})),
            "parallel.pipeline_layout [5,-1] gives stage 0 5 layers; 0 to 4 is possible");
  EXPECT_EQ(refusal(4, parallel_of(2, {4, -1})),
            "parallel.pipeline_layout [4,-1] gives stage 1 -1 layers; 0 to 4 is possible");
  EXPECT_EQ(
      refusal(4, parallel_of(3, {2, 0, 2})),
      "parallel.pipeline_layout [2,0,2] leaves stage 1 empty; only the first and the last may have 0 layers "
      "(embedding or head alone)");
  EXPECT_EQ(refusal(3, parallel_of(3, {1, 1, 1}, 2)),
            "parallel.pipeline_model_parallel_size 3 x num_chunks 2 makes 6 stages; with model.num_layers 3 "
            "at most 5 have anything to do (embedding and head alone at the two ends)");
}

using Entries = std::vector<RecomputeLayout::Entry>;

ParallelConfig recomputing(Entries entries) {
  ParallelConfig parallel = parallel_of(3, {2, 3, 1});
  parallel.recompute.stages = std::move(entries);
  return parallel;
}

std::vector<Recompute> recomputed(const StageLayout& layout) {
  std::vector<Recompute> of_units;
  for (int stage = 0; stage < layout.stages(); ++stage)
    for (int unit = layout.stage(stage).first; unit < layout.stage(stage).last; ++unit)
      of_units.push_back(layout.stage(stage).recompute_of(unit));
  return of_units;
}

// Embedding, 2 + 3 + 1 layers, head.
TEST(StageLayout, EveryStageRecomputesAsItIsTold) {
  using enum Recompute;
  const ModelSpec model = model_of(6);
  EXPECT_EQ(recomputed(StageLayout(model, recomputing({}))), std::vector<Recompute>(8, none));
  ParallelConfig all = recomputing({});
  all.recompute.all = "selective";
  EXPECT_EQ(
      recomputed(StageLayout(model, all)),
      (std::vector<Recompute>{none, selective, selective, selective, selective, selective, selective, none}));
  const StageLayout mixed(model, recomputing({"full", std::int64_t{2}, "selective"}));
  EXPECT_EQ(recomputed(mixed), (std::vector<Recompute>{none, full, full, full, full, none, selective, none}));
  EXPECT_EQ(recomputed(StageLayout(model, recomputing({std::int64_t{1}, "none", std::int64_t{0}}))),
            (std::vector<Recompute>{none, full, none, none, none, none, none, none}));
  const std::string table = mixed.table(model, Placement(3, 1), {4, 4});
  for (const char* text : {"recomputed", "  full\n", "  2 in full\n", "  selective\n"})
    EXPECT_NE(table.find(text), std::string::npos) << text << " in\n" << table;
}

TEST(StageLayout, RefusesRecomputationThatDoesNotFit) {
  EXPECT_EQ(refusal(6, recomputing({"full", "none"})),
            "parallel.recompute [full,none] has 2 entries; it needs 3, one per stage "
            "(pipeline_model_parallel_size 3 "
            "x num_chunks 1)");
  ParallelConfig chunks_by_schedule = parallel_of(2, {}, 0);
  chunks_by_schedule.pipeline_schedule = "zb-v";
  chunks_by_schedule.recompute.stages = {"full", "none"};
  EXPECT_EQ(refusal(8, chunks_by_schedule),
            "parallel.recompute [full,none] has 2 entries; it needs 4, one per stage "
            "(pipeline_model_parallel_size 2 "
            "x num_chunks 2)");
  EXPECT_EQ(
      refusal(6, recomputing({"full", std::int64_t{4}, "none"})),
      "parallel.recompute [full,4,none] recomputes 4 layers of stage 1, which has 3; 0 to 3 is possible");
}

TEST(StageLayout, SaysWhatWouldMakeAUniformLayoutDivide) {
  EXPECT_EQ(refusal(10, parallel_of(4)),
            "parallel.pipeline_layout is \"uniform\", but 10 layers do not divide into 4 stages: "
            "model.num_layers 8 or "
            "12, parallel.pipeline_model_parallel_size 2 or 5, or a list such as [2,3,3,2] would do");
  EXPECT_EQ(refusal(3, parallel_of(4)),
            "parallel.pipeline_layout is \"uniform\", but 3 layers do not divide into 4 stages: "
            "model.num_layers 4, "
            "parallel.pipeline_model_parallel_size 3, or a list such as [1,1,1,0] would do");
  EXPECT_EQ(refusal(9, parallel_of(2, {}, 2)),
            "parallel.pipeline_layout is \"uniform\", but 9 layers do not divide into 4 stages: "
            "model.num_layers 8 or 12, "
            "or a list such as [2,2,3,2] would do");
}

// Whatever list the refusal names is accepted.
TEST(StageLayout, SuggestsListsThatFit) {
  for (int layers = 1; layers <= 12; ++layers) {
    for (int stages = 1; stages <= layers + 2; ++stages) {
      const std::string text = refusal(layers, parallel_of(stages));
      if (text.empty()) continue;
      std::vector<std::int64_t> list;
      for (std::size_t at = text.find('['); text[at] != ']'; at = text.find_first_of(",]", at + 1))
        list.push_back(std::stoll(text.substr(at + 1)));
      EXPECT_EQ(refusal(layers, parallel_of(stages, list)), "") << text;
    }
  }
}

TEST(StageLayout, PrintsATable) {
  // A layer has 4·8² + 3·8·32 + 2·8 = 1040 parameters, the embedding 8000, the final norm 8.
  const StageLayout layout(model_of(4), parallel_of(3, {1, 3, 0}));
  EXPECT_EQ(layout.table(model_of(4), Placement(3, 1), {16, 16}),
            "stage  rank  units               layers  parameters       bytes\n"
            "    0     0  embedding, layer 1       1       9,040  141.25 KiB\n"
            "    1     1  layers 2-4               3       3,120   48.75 KiB\n"
            "    2     2  head                     0       8,008  125.12 KiB\n"
            "total                                 4      20,168  315.12 KiB\n"
            "The tied embedding is held by the first and the last stage; the model has 12,168 parameters.\n");
}

TEST(StageLayout, CountsATiedEmbeddingOnceWhereItLiesOnce) {
  const StageLayout layout(model_of(4), parallel_of(1, {2, 2}, 2));
  EXPECT_EQ(layout.table(model_of(4), Placement(1, 2), {1, 1}),
            "stage  rank  units                  layers  parameters      bytes\n"
            "    0     0  embedding, layers 1-2       2      10,080   9.84 KiB\n"
            "    1     0  layers 3-4, head            2       2,088   2.04 KiB\n"
            "total                                    4      12,168  11.88 KiB\n");
}

}  // namespace
}  // namespace headwater
