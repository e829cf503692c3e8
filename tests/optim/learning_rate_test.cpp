#include "headwater/optim/learning_rate.h"

#include <gtest/gtest.h>

#include <cmath>

namespace headwater {
namespace {

OptimizerConfig config_of(const std::string& style, std::int64_t warmup, std::int64_t decay) {
  OptimizerConfig config;
  config.lr = 1e-3;
  config.min_lr = 1e-4;
  config.lr_decay_style = style;
  config.lr_warmup_iters = warmup;
  config.lr_decay_iters = decay;
  config.lr_wsd_decay_iters = 20;
  return config;
}

constexpr std::int64_t kTrainIters = 200;

void expect_rates(const OptimizerConfig& config, const std::vector<std::pair<std::int64_t, double>>& rates) {
  for (const auto& [step, rate] : rates)
    EXPECT_NEAR(learning_rate(config, kTrainIters, step), rate, 1e-15)
        << config.lr_decay_style << ", step " << step;
}

const std::vector<std::string> kStyles = {"constant", "linear", "cosine", "wsd", "inverse-square-root"};

TEST(LearningRate, WarmsUpFromTheFirstStep) {
  for (const std::string& style : kStyles)
    expect_rates(config_of(style, 10, 100), {{1, 1e-4}, {2, 2e-4}, {5, 5e-4}, {9, 9e-4}, {10, 1e-3}});
}

TEST(LearningRate, WithoutWarmUpTheFirstStepIsNearTheFullRate) {
  for (const std::string& style : kStyles) {
    const double first = learning_rate(config_of(style, 0, 100), kTrainIters, 1);
    EXPECT_LE(first, 1e-3) << style;
    EXPECT_GE(first, 0.99e-3) << style;
  }
}

TEST(LearningRate, Constant) {
  expect_rates(config_of("constant", 10, 100), {{11, 1e-3}, {100, 1e-3}, {150, 1e-3}});
}

TEST(LearningRate, LinearReachesItsEndAtTheLastDecayStep) {
  expect_rates(config_of("linear", 10, 110),
               {{11, 1e-3 - 0.9e-5}, {60, 5.5e-4}, {109, 1e-4 + 0.9e-5}, {110, 1e-4}, {150, 1e-4}});
}

TEST(LearningRate, CosineReachesItsEndAtTheLastDecayStep) {
  const double quarter = 1e-4 + 9e-4 * (1.0 + std::sqrt(0.5)) / 2.0;
  expect_rates(config_of("cosine", 10, 110),
               {{35, quarter}, {60, 5.5e-4}, {85, 1.1e-3 - quarter}, {110, 1e-4}, {150, 1e-4}});
}

TEST(LearningRate, DecayLastsAsLongAsTrainingUnlessSaid) {
  for (const char* style : {"linear", "cosine"})
    expect_rates(config_of(style, 0, 0), {{kTrainIters / 2, 5.5e-4}, {kTrainIters, 1e-4}});
}

TEST(LearningRate, WarmupStableDecay) {
  OptimizerConfig config = config_of("wsd", 10, 100);
  config.lr_wsd_decay_style = "linear";
  expect_rates(config,
               {{11, 1e-3}, {80, 1e-3}, {81, 1e-3 - 0.9e-3 / 20}, {90, 5.5e-4}, {100, 1e-4}, {101, 1e-4}});
  config.lr_wsd_decay_style = "cosine";
  expect_rates(config,
               {{80, 1e-3}, {85, 1e-4 + 9e-4 * (1.0 + std::sqrt(0.5)) / 2.0}, {90, 5.5e-4}, {100, 1e-4}});
}

TEST(LearningRate, InverseSquareRoot) {
  expect_rates(config_of("inverse-square-root", 16, 0),
               {{16, 1e-3}, {17, 1e-3 * std::sqrt(16.0 / 17.0)}, {64, 5e-4}, {1600, 1e-4}, {6400, 1e-4}});
  expect_rates(config_of("inverse-square-root", 0, 0), {{1, 1e-3}, {4, 5e-4}, {25, 2e-4}, {400, 1e-4}});
}

}  // namespace
}  // namespace headwater
