// A global batch that grows is what runs with constant batches are, one after the other; on every layout, and
// through a resume.

#include "tests/train/training_run.h"

namespace headwater {
namespace {

using test::Layout;

constexpr int kSteps = 6;
const std::vector<std::int64_t> kSamples = {2, 4, 8, 14, 22, 30};  // after each step
const std::vector<std::string> kMore = {"training.rampup_batch_size=[2,2,12]",
                                        "training.global_batch_size=8",
                                        "data.eod_mask_loss=true",
                                        "data.split=[9,1,0]",
                                        "training.eval_interval=3",
                                        "training.eval_iters=1",
                                        "model.hidden_dropout=0.1"};
const Layout kOne{"one rank", 1, {}};
const Layout kFour = test::pipeline("pipeline 2 x data 2", 4, 2, "[3,1]");

std::vector<std::int64_t> samples_in(const Path& metrics) {
  std::vector<std::int64_t> samples;
  std::ifstream file(metrics);
  for (std::string line; std::getline(file, line);)
    if (const nlohmann::json json = nlohmann::json::parse(line); json.contains("samples"))
      samples.push_back(json.at("samples").get<std::int64_t>());
  return samples;
}

TEST(BatchRamp, IsRunsOfConstantBatchesOneAfterTheOther) {
  const TemporaryFolder folder;
  const test::TrainingRun ramped = test::train_in(folder / "ramped", kFour, kSteps, kMore);
  EXPECT_EQ(samples_in(folder / "ramped/metrics.jsonl"), kSamples);
  EXPECT_EQ(ramped.curve.validations.size(), 3U);  // before, after 3 and after 6 steps
  EXPECT_NE(ramped.printed.find("a step takes 8 samples of 40 tokens, from 2 by 2 over the first 12 samples"),
            std::string::npos);
  EXPECT_NE(ramped.printed.find("| global batch size:     4 |"), std::string::npos) << ramped.printed;

  test::TrainingRun constant;
  for (const auto& [batch, stop] : {std::pair{2, 2}, {4, 3}, {6, 4}, {8, 6}}) {
    std::vector<std::string> more(kMore.begin() + 2, kMore.end());
    more.push_back("training.global_batch_size=" + std::to_string(batch));
    more.push_back("training.eval_interval=0");
    more.push_back("training.exit_interval=" + std::to_string(stop));
    constant = test::train_in(folder / "constant", kFour, kSteps, more);
  }
  EXPECT_EQ(constant.curve.losses, ramped.curve.losses);
  EXPECT_EQ(constant.curve.norms, ramped.curve.norms);
  EXPECT_EQ(constant.weights, ramped.weights);
}

TEST(BatchRamp, FindsTheSameOnEveryLayout) {
  const test::TrainingRun one = test::train(kOne, kSteps, kMore);
  Layout sharded{"data 2, sharded optimizer, tensor 2", 4, {"parallel.tensor_model_parallel_size=2"}};
  sharded.overrides.emplace_back("parallel.use_distributed_optimizer=true");
  for (const Layout& layout : {sharded, test::scheduled("zb-v", 2, "[1,1,2,0]")})
    test::expect_equal_curves(test::train(layout, kSteps, kMore).curve, one.curve, layout.name);
}

TEST(BatchRamp, AResumeGoesOnToTheSameBits) {
  const TemporaryFolder folder;
  const test::TrainingRun straight = test::train_in(folder / "straight", kFour, kSteps, kMore);
  std::vector<std::string> stopping = kMore;
  stopping.emplace_back("training.exit_interval=3");  // the next step takes 6
  test::train_in(folder / "twice", kFour, kSteps, stopping);
  test::expect_same_bits(test::train_in(folder / "twice", kFour, kSteps, kMore), straight, "resumed");
  EXPECT_EQ(samples_in(folder / "twice/metrics.jsonl"), kSamples);
}

}  // namespace
}  // namespace headwater
