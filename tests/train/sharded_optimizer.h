#pragma once
// Trainings with and without a sharded optimizer: what the quick and the full tests of it compare.

#include "tests/train/training_run.h"

namespace headwater::test {

constexpr int kShardedSteps = 6;

inline Layout sharded(Layout layout) {
  layout.overrides.emplace_back("parallel.use_distributed_optimizer=true");
  return layout;
}

inline const Layout kOne{"one rank", 1, {}};
inline const Layout kTwo{"data 2", 2, {}};
inline const Layout kFour = pipeline("pipeline 2 x data 2", 4, 2, "[3,1]");

// Gradients are summed in the same order; the norm is not, so its last bits may differ and clipping is off.
inline void expect_sharding_changes_nothing(const Layout& layout, std::vector<std::string> more = {}) {
  more.emplace_back("optimizer.clip_grad=0");
  const TrainingRun whole = train(layout, kShardedSteps, more),
                    parts = train(sharded(layout), kShardedSteps, more);
  EXPECT_EQ(parts.curve.losses, whole.curve.losses) << layout.name;
  EXPECT_EQ(parts.weights, whole.weights) << layout.name;
  for (std::size_t i = 0; i < whole.curve.norms.size(); ++i)
    EXPECT_NEAR(parts.curve.norms[i], whole.curve.norms[i], 1e-12 * whole.curve.norms[i]) << layout.name;
  EXPECT_NE(whole.curve.losses.front(), whole.curve.losses.back());
}

// A run that stops half-way at one layout and goes on at another.
inline TrainingRun train_at_both(const Layout& first, const Layout& second) {
  const TemporaryFolder folder;
  train_in(folder / "save", first, kShardedSteps,
           {"training.exit_interval=" + std::to_string(kShardedSteps / 2)});
  return train_in(folder / "save", second, kShardedSteps);
}

}  // namespace headwater::test
