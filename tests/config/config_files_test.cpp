// Every file in configs/ must be a run that can start, and the published ones must say what was published.

#include "headwater/config/load_config.h"
#include "tests/config/refusal.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

namespace headwater {
namespace {

const std::filesystem::path kConfigs = std::filesystem::path(HEADWATER_SOURCE_DIR) / "configs";

TEST(ConfigFiles, EachIsValid) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kConfigs)) {
    names.insert(entry.path().filename().string());
    if (entry.is_directory()) continue;  // cluster files
    EXPECT_NO_THROW(validate(load_config(entry.path(), {}).run)) << entry.path();
  }
  for (const char* name : {"demo.json", "tiny.json", "yuan2-small.json", "yuan2-2.1b.json", "yuan2-51b.json"})
    EXPECT_TRUE(names.count(name)) << name;
}

struct Published {
  const char* name;
  std::int64_t stages, first_layers, last_layers, micro_batch, global_batch, seq_length, iterations, warmup;
  double lr;
  std::int64_t recomputed;  // first layers of each stage
};

// The settings in the pre-training scripts of Yuan 2.0.
constexpr Published kPublished[] = {
    {"yuan2-2.1b", 1, 24, 24, 2, 384, 8192, 95367, 1900, 2e-4, 24},
    {"yuan2-51b", 16, 2, 2, 1, 1152, 4096, 63578, 1300, 9e-5, 1},
    {"yuan2-102b", 32, 2, 2, 1, 1152, 4096, 63578, 1300, 3e-5, 2},
};

TEST(ConfigFiles, PublishedRuns) {
  for (const Published& want : kPublished) {
    const RunConfig run = load_config(kConfigs / (std::string(want.name) + ".json"), {}).run;
    SCOPED_TRACE(want.name);
    EXPECT_EQ(run.model.preset, want.name);
    EXPECT_EQ(run.parallel.pipeline_model_parallel_size, want.stages);
    std::vector<std::int64_t> layers = run.parallel.pipeline_layout.layers;
    if (run.parallel.pipeline_layout.uniform) layers = {run.model.num_layers};
    EXPECT_EQ(static_cast<std::int64_t>(layers.size()), want.stages);
    EXPECT_EQ(std::accumulate(layers.begin(), layers.end(), std::int64_t{0}), run.model.num_layers);
    EXPECT_EQ(layers.front(), want.first_layers);
    EXPECT_EQ(layers.back(), want.last_layers);
    const RecomputeLayout& recompute = run.parallel.recompute;
    if (want.recomputed == run.model.num_layers)
      EXPECT_EQ(recompute, (RecomputeLayout{"full", {}}));
    else
      EXPECT_EQ(recompute.stages, std::vector<RecomputeLayout::Entry>(layers.size(), want.recomputed));
    EXPECT_EQ(run.training.micro_batch_size, want.micro_batch);
    EXPECT_EQ(run.training.global_batch_size, want.global_batch);
    EXPECT_EQ(run.training.seq_length, want.seq_length);
    EXPECT_EQ(run.training.train_iters, want.iterations);
    EXPECT_EQ(run.optimizer.lr_warmup_iters, want.warmup);
    EXPECT_DOUBLE_EQ(run.optimizer.lr, want.lr);
    EXPECT_DOUBLE_EQ(run.optimizer.min_lr, want.lr / 10);
    EXPECT_EQ(run.optimizer.lr_decay_style, "cosine");
    EXPECT_TRUE(run.data.reset_position_ids);
    EXPECT_FALSE(run.data.reset_attention_mask || run.data.reset_lfa || run.data.eod_mask_loss);
  }
}

}  // namespace
}  // namespace headwater
