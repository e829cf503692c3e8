// The layout of a run does not change its result: a few layouts, for a few steps. layouts_full_test.cpp takes
// all of them.

#include "headwater/backend/cpu_backend.h"
#include "headwater/nn/initialize.h"

#include "tests/train/training_run.h"

#include <map>
#include <mutex>

namespace headwater {
namespace {

using test::Layout;

const Layout kOne{"one rank", 1, {}};
const Layout kBoth = test::pipeline("pipeline 2 x data 2", 4, 2, "[3,1]");
const std::vector<std::string> kDropout = {"model.attention_dropout=0.1", "model.hidden_dropout=0.1"};

TEST(Layouts, OneRankAndFourFindTheSame) {
  constexpr int kSteps = 5;
  const test::TrainingRun one = test::train(kOne, kSteps, kDropout),
                          four = test::train(kBoth, kSteps, kDropout);
  test::expect_equal_curves(four.curve, one.curve, kBoth.name);
  test::expect_same_bits(test::train(kBoth, kSteps, kDropout), four, "the same layout again");
  EXPECT_NE(one.curve.losses.front(), one.curve.losses.back());
  // Rank 0 alone prints, and prints once.
  EXPECT_NE(four.printed.find("ranks: 4 = 2 pipeline stages x 2 replicas"), std::string::npos)
      << four.printed;
  EXPECT_EQ(four.printed.find("ranks: 4"), four.printed.rfind("ranks: 4"));
}

// Every rank's masters as initialize() makes them; the same bits wherever a parameter lies.
TEST(Layouts, InitialWeightsAreTheSameBitsAtEveryLayout) {
  std::map<std::string, std::vector<float>> expected;
  std::mutex mutex;
  const LoadedConfig config = load_config({}, test::training_overrides("unused", 1));
  const auto check = [&](const Layout& layout, int threads) {
    RunConfig run = config.run;
    run.model = resolved(run.model, run.training.seq_length);
    run.parallel = load_config({}, layout.overrides).run.parallel;
    run_on_threads(layout.ranks, [&](World& world) {
      const RankLayout rank_layout(training_request(run, {"fp32", 1}, world.size()), world.rank(),
                                   world.size());
      Engine engine(world, rank_layout, make_cpu_backend({}));
      initialize(engine.store(), engine.backend(), 1234, threads);
      const std::lock_guard lock(mutex);
      for (const ParameterPlace& place : engine.store().layout().places()) {
        std::vector<float> values(static_cast<std::size_t>(place.spec.elements()));
        engine.store().to_host(engine.backend(), engine.store().masters(), place,
                               TensorView(values.data(), DType::f32, {place.spec.elements()}));
        const auto [it, first] = expected.emplace(place.spec.name, values);
        EXPECT_EQ(it->second, values) << layout.name << ", rank " << world.rank() << ": " << place.spec.name;
        EXPECT_TRUE(!first || layout.ranks == 1) << place.spec.name << " is not in the model of one rank";
      }
    });
  };
  check(kOne, 1);
  EXPECT_EQ(expected.size(), parameters(expand(resolved(config.run.model, 40))).size());
  check(kOne, 3);
  check(kBoth, 1);
  check(test::pipeline("ends alone", 4, 4, "[0,3,1,0]"), 2);
  check({"data 2", 2, {}}, 1);
}

}  // namespace
}  // namespace headwater
