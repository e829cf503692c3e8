#pragma once
// Whole trainings of the golden model's size on its data, on ranks that are threads: what tests of layouts
// compare.

#include "headwater/base/file.h"
#include "headwater/checkpoint/checkpoint.h"
#include "headwater/nn/model_units.h"
#include "headwater/train/trainer.h"
#include "tests/support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

namespace headwater::test {

struct Layout {
  std::string name;
  int ranks;
  std::vector<std::string> overrides;
};

inline Layout pipeline(const std::string& name, int ranks, int stages, const char* layers) {
  return {name,
          ranks,
          {"parallel.pipeline_model_parallel_size=" + std::to_string(stages),
           "parallel.pipeline_layout=" + std::string(layers)}};
}

inline Layout scheduled(const std::string& schedule, int ranks, const char* layers, int chunks = 0) {
  Layout layout = pipeline(schedule, ranks, ranks, layers);
  layout.overrides.push_back("parallel.pipeline_schedule=" + schedule);
  if (chunks > 0) layout.overrides.push_back("parallel.num_chunks=" + std::to_string(chunks));
  return layout;
}

struct Curve {
  std::vector<double> losses, norms, validations;
  bool operator==(const Curve&) const = default;
};

struct TrainingRun {
  Curve curve;
  std::string printed;         // for people, by rank 0
  std::vector<float> weights;  // at the end, parameter after parameter
  double step_seconds = 0.0;   // the fastest step
};

inline Curve read_curve(const Path& metrics) {
  Curve curve;
  std::ifstream file(metrics);
  for (std::string line; std::getline(file, line);) {
    const nlohmann::json json = nlohmann::json::parse(line);
    if (json.contains("validation_loss")) {
      curve.validations.push_back(json.at("validation_loss").get<double>());
      continue;
    }
    curve.losses.push_back(json.at("loss").get<double>());
    curve.norms.push_back(json.at("grad_norm").get<double>());
  }
  return curve;
}

// An epsilon above what rounding leaves of a gradient that is zero: of less Adam would make a step, whose
// sign differs from layout to layout.
inline std::vector<std::string> training_overrides(const Path& save, int steps) {
  const std::string data = std::string(HEADWATER_SOURCE_DIR) + "/tests/golden/yuan2/data";
  return {"model.family=yuan2",
          "model.num_layers=4",
          "model.hidden_size=48",
          "model.ffn_hidden_size=128",
          "model.num_attention_heads=4",
          "model.vocab_size=192",
          "data.train=" + data,
          "data.eod=0",
          "data.reset_position_ids=true",
          "training.global_batch_size=4",
          "training.seq_length=40",
          "training.train_iters=" + std::to_string(steps),
          "training.dtype=fp32",
          "training.save=" + save.string(),
          "optimizer.lr=1e-3",
          "optimizer.adam_eps=1e-6"};
}

inline double fastest_step(const Path& metrics) {
  double seconds = std::numeric_limits<double>::infinity();
  std::ifstream file(metrics);
  for (std::string line; std::getline(file, line);) {
    const nlohmann::json json = nlohmann::json::parse(line);
    if (json.contains("elapsed_ms")) seconds = std::min(seconds, 1e-3 * json.at("elapsed_ms").get<double>());
  }
  return seconds;
}

// Starts, or goes on from what `save` holds; the result is that of everything since step 1.
inline TrainingRun train_in(const Path& save, const Layout& layout, int steps,
                            const std::vector<std::string>& more = {}, const ThreadNetwork& network = {},
                            const MakeStepObserver& observe = {}) {
  std::vector<std::string> overrides = training_overrides(save, steps);
  overrides.insert(overrides.end(), layout.overrides.begin(), layout.overrides.end());
  overrides.insert(overrides.end(), more.begin(), more.end());
  const LoadedConfig config = load_config({}, overrides);
  std::ostringstream printed;
  const auto body = [&](World& world) {
    Trainer trainer(world, config, world.rank() == 0 ? &printed : nullptr, observe);
    EXPECT_EQ(trainer.run(), 0);
  };
  run_on_threads(layout.ranks, body, network);

  const Path metrics = save / "metrics.jsonl";
  TrainingRun run{read_curve(metrics), printed.str(), {}, fastest_step(metrics)};
  const Checkpoint checkpoint(find_checkpoint(save));
  for (const ParameterSpec& spec : parameters(expand(checkpoint.model()))) {
    std::vector<float> values(static_cast<std::size_t>(spec.elements()));
    checkpoint.read(spec.name, whole(spec.shape), TensorView(values.data(), DType::f32, spec.shape));
    run.weights.insert(run.weights.end(), values.begin(), values.end());
  }
  return run;
}

inline TrainingRun train(const Layout& layout, int steps, const std::vector<std::string>& more = {},
                         const ThreadNetwork& network = {}, const MakeStepObserver& observe = {}) {
  const TemporaryFolder folder;
  TrainingRun run = train_in(folder / "save", layout, steps, more, network, observe);
  EXPECT_EQ(run.curve.losses.size(), static_cast<std::size_t>(steps)) << layout.name;
  return run;
}

inline void expect_equal_curves(const Curve& found, const Curve& expected, const std::string& what) {
  constexpr double kRelative = 1e-5;
  ASSERT_EQ(found.losses.size(), expected.losses.size()) << what;
  for (std::size_t i = 0; i < expected.losses.size(); ++i) {
    EXPECT_NEAR(found.losses[i], expected.losses[i], kRelative * expected.losses[i])
        << what << ", step " << i + 1;
    EXPECT_NEAR(found.norms[i], expected.norms[i], kRelative * expected.norms[i])
        << what << ", step " << i + 1;
  }
  ASSERT_EQ(found.validations.size(), expected.validations.size()) << what;
  for (std::size_t i = 0; i < expected.validations.size(); ++i)
    EXPECT_NEAR(found.validations[i], expected.validations[i], kRelative * expected.validations[i])
        << what << ", evaluation " << i + 1;
}

inline void expect_same_bits(const TrainingRun& a, const TrainingRun& b, const std::string& what) {
  EXPECT_EQ(a.curve, b.curve) << what;
  EXPECT_EQ(a.weights, b.weights) << what;
}

}  // namespace headwater::test
