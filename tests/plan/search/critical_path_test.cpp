#include "src/plan/search/critical_path.h"

#include <gtest/gtest.h>

namespace headwater {
namespace {

std::vector<StageSeconds> layers(const std::vector<int>& counts) {
  std::vector<StageSeconds> stages;
  for (int count : counts) stages.push_back({count / 3.0, count / 3.0, count / 3.0});
  return stages;
}

TEST(CriticalPath, EqualStagesWaitForOnePipeline) {
  for (int ranks : {1, 2, 5, 8})
    for (int micro_batches : {1, 3, 8, 30}) {
      const CriticalPath path(one_forward_one_backward(ranks, micro_batches));
      EXPECT_EQ(path.actions(), 2 * ranks * micro_batches);
      EXPECT_NEAR(path.seconds(std::vector<StageSeconds>(static_cast<std::size_t>(ranks), {1.0, 1.5, 0.5})),
                  3.0 * (micro_batches + ranks - 1), 1e-9);
    }
}

// Steady state is the slowest stage's, and a pipeline is filled and emptied once: (m - 1) max t + sum t is
// never less, and exact where the last stage is slowest. A slow stage further up hides some of what lies
// behind it.
TEST(CriticalPath, UnequalStagesGoAsTheSlowest) {
  const CriticalPath path(one_forward_one_backward(8, 64));
  EXPECT_NEAR(path.seconds(layers({3, 3, 3, 3, 3, 3, 3, 3})), 213.0, 1e-9);
  EXPECT_NEAR(path.seconds(layers({2, 2, 3, 3, 3, 3, 4, 4})), 63.0 * 4.0 + 24.0, 1e-9);
  for (const auto& counts : {std::vector{2, 2, 3, 3, 4, 4, 4, 2}, std::vector{4, 3, 3, 3, 3, 3, 3, 2}}) {
    EXPECT_GT(path.seconds(layers(counts)), 64.0 * 4.0);
    EXPECT_LT(path.seconds(layers(counts)), 63.0 * 4.0 + 24.0);
  }
}

}  // namespace
}  // namespace headwater
