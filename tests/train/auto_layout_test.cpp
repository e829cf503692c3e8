// parallel.pipeline_layout "auto" at launch: chosen once, recorded, and kept by a resume.

#include "tests/train/training_run.h"

namespace headwater {
namespace {

using test::Layout;

std::vector<std::int64_t> recorded_layers(const Path& save) {
  return Checkpoint(find_checkpoint(save)).manifest().header.parallel.pipeline_layout.layers;
}

// Two devices, each a node of its own, whose speed is set by the memory's.
std::string cluster_file(const Path& file, double flops, std::int64_t memory) {
  const nlohmann::json figures = {{"fp32", flops}};
  const nlohmann::json cluster = {{"name", "two"},
                                  {"nodes", 2},
                                  {"devices_per_node", 1},
                                  {"device",
                                   {{"memory_bytes", memory},
                                    {"memory_bandwidth", 1e10},
                                    {"peak_flops", figures},
                                    {"efficiency", {{"fp32", 0.5}}}}},
                                  {"inter_node", {{"bandwidth", 1e9}, {"latency_seconds", 1e-6}}}};
  write_text_atomically(file, cluster.dump());
  return "parallel.cluster=" + file.string();
}

TEST(AutoLayout, IsChosenOnceAndKeptByAResume) {
  const TemporaryFolder folder;
  const Path save = folder / "save", file = folder / "cluster.json";
  Layout automatic{"auto", 2, {"parallel.pipeline_model_parallel_size=2", "parallel.pipeline_layout=auto"}};
  automatic.overrides.push_back(cluster_file(file, 1e10, std::int64_t{1} << 40));
  test::train_in(save, automatic, 2);
  const std::vector<std::int64_t> chosen = recorded_layers(save);
  ASSERT_EQ(chosen.size(), 2U);
  EXPECT_EQ(chosen[0] + chosen[1], 4);

  // The same steps with those layers given: the same bits.
  const Layout given = test::pipeline("given", 2, 2, fmt::format("[{},{}]", chosen[0], chosen[1]).c_str());
  const test::TrainingRun expected = test::train(given, 4);

  // A cluster that nothing fits into, and which is not asked.
  static_cast<void>(cluster_file(file, 1e10, std::int64_t{1} << 20));
  const test::TrainingRun resumed = test::train_in(save, automatic, 4);
  EXPECT_EQ(recorded_layers(save), chosen);
  test::expect_same_bits(resumed, expected, "resumed");
  // A fresh run does ask.
  const LoadedConfig config = load_config({}, [&] {
    std::vector<std::string> overrides = test::training_overrides(folder / "other", 1);
    overrides.insert(overrides.end(), automatic.overrides.begin(), automatic.overrides.end());
    return overrides;
  }());
  const auto fresh = [&](World& world) { Trainer(world, config, nullptr).run(); };
  EXPECT_THROW(run_on_threads(2, fresh), UserError);
}

TEST(AutoLayout, NeedsNoClusterFile) {
  const TemporaryFolder folder;
  const Layout automatic{
      "auto", 2, {"parallel.pipeline_model_parallel_size=2", "parallel.pipeline_layout=auto"}};
  test::train_in(folder / "save", automatic, 1);
  const std::vector<std::int64_t> layers = recorded_layers(folder / "save");
  ASSERT_EQ(layers.size(), 2U);
  // The head is worth two of these small layers' forwards and backwards and more, so that the first stage has
  // more layers.
  EXPECT_GE(layers[0], layers[1]);
}

}  // namespace
}  // namespace headwater
