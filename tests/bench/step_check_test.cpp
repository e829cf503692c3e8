// The first steps beside their prediction: one table, of the parts that were timed or of the planner's; one
// timeline.

#include "headwater/bench/step_check.h"

#include "headwater/backend/cpu_backend.h"
#include "headwater/base/file.h"
#include "tests/train/training_run.h"

#include <iterator>
#include <map>

namespace headwater {
namespace {

const test::Layout kFour = test::pipeline("pipeline 2 x data 2", 4, 2, "[3,1]");
constexpr const char* kTable = "prediction (parts timed in 3 steps) | measurement";

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

test::TrainingRun checked(const test::Layout& layout, int steps, const std::vector<std::string>& more = {}) {
  return test::train(layout, steps, more, {}, make_step_check);
}

TEST(StepCheck, ARunPrintsOneTableAndWritesOneTimeline) {
  const TemporaryFolder folder;
  const Path trace = folder / "trace.json";
  const test::TrainingRun run = checked(kFour, 12, {"training.timeline=" + trace.string()});
  EXPECT_EQ(count(run.printed, kTable), 1U) << run.printed;
  EXPECT_LT(run.printed.find("iteration        9/"), run.printed.find(kTable));
  EXPECT_LT(run.printed.find(kTable), run.printed.find("iteration       10/"));
  // A row for each rank, whose arena is as it was predicted.
  for (int rank = 0; rank < 4; ++rank) {
    const std::size_t row =
        run.printed.find("\n     " + std::to_string(rank) + " ", run.printed.find(kTable));
    ASSERT_NE(row, std::string::npos) << run.printed;
    std::istringstream words(run.printed.substr(row, run.printed.find('\n', row + 1) - row));
    std::vector<std::string> all{std::istream_iterator<std::string>(words), {}};
    ASSERT_EQ(all.size(), 16U);
    EXPECT_EQ(all[13], all[15]);
  }
  const nlohmann::json events = nlohmann::json::parse(read_text(trace)).at("traceEvents");
  std::map<int, int> computes;  // by process: predicted, measured
  for (const nlohmann::json& event : events)
    if (event.contains("args") && event["args"].contains("micro_batch") &&
        event["name"].get<std::string>().starts_with("forward"))
      ++computes[event["pid"].get<int>()];
  EXPECT_EQ(computes, (std::map<int, int>{{0, 4}, {1, 4}})) << "two micro-batches through two stages";
}

TEST(StepCheck, AShortRunPrintsNone) { EXPECT_EQ(count(checked(kFour, 8).printed, "prediction ("), 0U); }

// Steps of a batch that still grows are not what is predicted.
TEST(StepCheck, WaitsForTheFullBatch) {
  const test::TrainingRun run = checked({"one rank", 1, {}}, 12, {"training.rampup_batch_size=[1,3,2]"});
  EXPECT_LT(run.printed.find("iteration       11/"), run.printed.find(kTable));
  EXPECT_LT(run.printed.find(kTable), run.printed.find("iteration       12/"));
}

TEST(StepCheck, WithAClusterThePlanIsThereBefore) {
  const TemporaryFolder folder;
  const Path file = folder / "cluster.json";
  Cluster cluster = equal_devices(2);
  cluster.device.memory_bytes = std::int64_t{1} << 30;
  cluster.device.memory_bandwidth = 1e10;
  cluster.intra_node = {1e9, 1e-6};
  write_text_atomically(file, to_json(cluster).dump());
  run_on_threads(2, [&](World& world) {
    LoadedConfig config = load_config({}, test::training_overrides(folder / "save", 9));
    RunConfig run = config.run;
    run.model = resolved(run.model, run.training.seq_length);
    run.parallel.pipeline_model_parallel_size = 2;
    run.parallel.cluster = file.string();
    const RunSettings settings{"fp32", 1};
    Engine engine(world, RankLayout(training_request(run, settings, 2), world.rank(), 2),
                  make_cpu_backend({}));
    StepCheck check(world, engine, run, settings);
    EXPECT_EQ(
        count(check.announcement(), "predicted (parallel.cluster " + file.string() + "): a step takes "), 1U);
    StepTimes times;
    times.schedule = 1.0;
    for (int step = 1; step <= 6; ++step) {
      EXPECT_EQ(check.next(), nullptr);
      EXPECT_EQ(check.add(times).has_value(), step == 6);
    }
    EXPECT_EQ(check.next(), nullptr);
    EXPECT_FALSE(check.add(times).has_value());
  });
}

}  // namespace
}  // namespace headwater
