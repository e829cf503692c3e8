// The layout of a run does not change its result: a few layouts, for a few steps. equivalence_full_test.cpp
// has the mixes of all of them.

#include "headwater/backend/cpu_backend.h"
#include "headwater/nn/model_units.h"
#include "headwater/stage/initialize.h"

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

// Layers shared by tensor ranks, tokens whole or cut, the filter in both of its forms, beside pipeline and
// data ranks.
TEST(Layouts, TensorRanksFindTheSame) {
  constexpr int kSteps = 3;
  const std::vector<std::string> documents = {"data.reset_attention_mask=true", "data.reset_lfa=true"};
  std::vector<std::string> more = kDropout;
  more.insert(more.end(), documents.begin(), documents.end());
  const test::TrainingRun one = test::train(kOne, kSteps, more);
  const std::string tensor2 = "parallel.tensor_model_parallel_size=2",
                    tensor4 = "parallel.tensor_model_parallel_size=4";
  const std::string sequence = "parallel.sequence_parallel=true", tokens = "parallel.lfa_sharding=tokens",
                    pipeline2 = "parallel.pipeline_model_parallel_size=2",
                    uneven = "parallel.pipeline_layout=[1,3]";
  for (const Layout& layout :
       {Layout{"tensor 2", 2, {tensor2}},
        {"tensor 4", 4, {tensor4}},
        {"tensor 2, sequence", 2, {tensor2, sequence}},
        {"tensor 2, sequence, filter by tokens", 2, {tensor2, sequence, tokens}},
        {"tensor 4, sequence, filter by tokens, pipeline 2",
         8,
         {tensor4, sequence, tokens, pipeline2, uneven}},
        {"tensor 2, sequence, pipeline 2, data 2", 8, {tensor2, sequence, pipeline2, uneven}}}) {
    const test::TrainingRun several = test::train(layout, kSteps, more);
    test::expect_equal_curves(several.curve, one.curve, layout.name);
  }
}

// A norm with a bias, whose gradient ranks sum where tokens are cut, and an MLP without a gate: on stages,
// and with recomputation.
TEST(Layouts, OtherKindsOfBlocksFindTheSame) {
  constexpr int kSteps = 3;
  std::vector<std::string> more = kDropout;
  more.insert(more.end(), {"model.norm=layernorm", "model.mlp=gelu"});
  const test::TrainingRun one = test::train(kOne, kSteps, more);
  const std::string tensor2 = "parallel.tensor_model_parallel_size=2",
                    sequence = "parallel.sequence_parallel=true", tokens = "parallel.lfa_sharding=tokens",
                    pipeline2 = "parallel.pipeline_model_parallel_size=2", full = "parallel.recompute=full",
                    selective = "parallel.recompute=selective", zb = "parallel.pipeline_schedule=zb-v";
  for (const Layout& layout : {Layout{"tensor 2, selective", 2, {tensor2, selective}},
                               {"tensor 2, filter by tokens, full", 2, {tensor2, sequence, tokens, full}},
                               {"tensor 2, sequence, zb-v, data 2", 8, {tensor2, sequence, pipeline2, zb}}}) {
    const test::TrainingRun several = test::train(layout, kSteps, more);
    test::expect_equal_curves(several.curve, one.curve, layout.name);
  }
  // It is another model.
  EXPECT_NE(one.curve.losses.back(), test::train(kOne, kSteps, kDropout).curve.losses.back());
}

// The vocabulary of 192 is padded to 512, so that two of four tensor ranks hold nothing but padding of the
// embedding: no weight, and no master beside it.
TEST(Layouts, Bf16TrainsWhereARankHoldsPaddingAlone) {
  constexpr int kSteps = 2;
  const std::vector<std::string> more = {"training.dtype=bf16"};
  const std::vector<double> one = test::train(kOne, kSteps, more).curve.losses;
  for (const char* untied : {"false", "true"}) {
    const Layout layout{"tensor 4",
                        4,
                        {"parallel.tensor_model_parallel_size=4",
                         std::string("model.untie_embeddings_and_output_weights=") + untied}};
    const std::vector<double> four = test::train(layout, kSteps, more).curve.losses;
    ASSERT_EQ(four.size(), one.size());
    for (std::size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(four[i], one[i], 0.02 * one[i]) << untied;
  }
}

// The masks of dropout are keyed, so that they come out the same when they are made again.
TEST(Layouts, RecomputationChangesNoBit) {
  constexpr int kSteps = 2;
  Layout tensor = kBoth;
  tensor.overrides.insert(tensor.overrides.end(),
                          {"parallel.tensor_model_parallel_size=2", "parallel.sequence_parallel=true"});
  for (const Layout& layout : {kBoth, tensor}) {
    std::vector<std::string> overrides = kDropout;
    const test::TrainingRun kept = test::train(layout, kSteps, overrides);
    overrides.emplace_back();
    for (const char* recompute : {"selective", "full", "[2,\"selective\"]"}) {
      overrides.back() = std::string("parallel.recompute=") + recompute;
      test::expect_same_bits(test::train(layout, kSteps, overrides), kept, recompute);
    }
  }
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
        download(engine.backend(), engine.store().part(engine.store().masters(), place),
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
