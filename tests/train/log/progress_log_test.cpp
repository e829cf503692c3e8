#include "headwater/train/log/progress_log.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace headwater {
namespace {

// A step of 320 tokens.
StepMetrics step_of(std::int64_t step, double loss, double elapsed_ms) {
  StepMetrics metrics;
  metrics.step = step;
  metrics.samples = 32 * step;
  metrics.global_batch = 32;
  metrics.loss = loss;
  metrics.grad_norm = 1.2344;
  metrics.lr = 1e-4;
  metrics.elapsed_ms = elapsed_ms;
  metrics.tokens_per_second = 320.0 / (elapsed_ms * 1e-3);
  return metrics;
}

bool contains(const std::string& line, std::string_view part) { return line.find(part) != std::string::npos; }

TEST(ProgressLog, ALineHasMegatronsFieldsInItsOrderThenOurs) {
  ProgressLog log(100, 2);
  StepMetrics first = step_of(9, 11.0, 100.0), second = step_of(10, 10.0, 300.0);
  first.mfu = 0.4;
  second.mfu = 0.1;
  EXPECT_FALSE(log.add(first).has_value());
  EXPECT_EQ(
      log.add(second).value(),
      " iteration       10/     100 | consumed samples:          320 | elapsed time per iteration (ms): "
      "200.0 | learning rate: 1.000000E-04 | global batch size:    32 | lm loss: 1.050000E+01 | grad norm: "
      "1.234 | number of skipped iterations:   0 | number of nan iterations:   0 | tokens/s: 1600 | MFU: "
      "17.5% | time left: 0:00:18 |");
}

TEST(ProgressLog, WithoutAPeakThereIsNoMfu) {
  ProgressLog log(100, 1);
  EXPECT_FALSE(contains(log.add(step_of(1, 1.0, 100.0)).value(), "MFU"));
}

TEST(ProgressLog, IsDueAtMultiplesOfTheIntervalWhereverTheRunBeganAndAtTheLastStep) {
  ProgressLog log(23, 10);
  std::vector<std::int64_t> due;
  for (std::int64_t step = 7; step <= 23; ++step)
    if (log.add(step_of(step, 1.0, 1.0))) due.push_back(step);
  EXPECT_EQ(due, (std::vector<std::int64_t>{10, 20, 23}));
}

TEST(ProgressLog, SkippedStepsAreCountedAndDoNotEnterTheLoss) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  ProgressLog log(100, 4);
  StepMetrics not_finite = step_of(2, nan, 10.0), norm_overflowed = step_of(3, 7.0, 10.0);
  not_finite.applied = norm_overflowed.applied = false;
  log.add(step_of(1, 2.0, 10.0));
  log.add(not_finite);
  log.add(norm_overflowed);
  std::string line = log.add(step_of(4, 4.0, 10.0)).value();
  EXPECT_TRUE(contains(line, "lm loss: 3.000000E+00 |")) << line;
  EXPECT_TRUE(contains(line, "number of skipped iterations:   2 | number of nan iterations:   1 |")) << line;

  for (std::int64_t step = 5; step <= 8; ++step) {  // the next line begins from nothing
    not_finite.step = step;
    if (const auto due = log.add(not_finite)) line = *due;
  }
  EXPECT_TRUE(contains(line, "lm loss: NAN |")) << line;
  EXPECT_TRUE(contains(line, "number of skipped iterations:   4 | number of nan iterations:   4 |")) << line;
}

TEST(ProgressLog, TimeLeftFollowsRecentStepsAndNotAHiccup) {
  ProgressLog log(100000, 1);
  EXPECT_EQ(log.seconds_left(), 0.0);
  std::int64_t step = 0;
  log.add(step_of(++step, 1.0, 60000.0));  // the first step, slow by its nature
  for (int i = 0; i < 9; ++i) log.add(step_of(++step, 1.0, 1000.0));
  EXPECT_NEAR(log.seconds_left(), 99990 * 1.1, 1e-6);
  EXPECT_TRUE(contains(log.add(step_of(++step, 1.0, 1000.0)).value(), "time left: 30:17:59 |"));
  for (int i = 0; i < 64; ++i) log.add(step_of(++step, 1.0, 500.0));  // all that was before is forgotten
  EXPECT_NEAR(log.seconds_left(), static_cast<double>(100000 - step) * 0.5, 1e-6);
}

TEST(ProgressLog, NothingIsLeftAfterTheLastStep) {
  ProgressLog log(2, 1);
  log.add(step_of(1, 1.0, 1000.0));
  EXPECT_TRUE(contains(log.add(step_of(2, 1.0, 1000.0)).value(), "time left: 0:00:00 |"));
}

}  // namespace
}  // namespace headwater
