// What training.freeze names never changes, at any layout; everything else is trained as it would be beside
// it.

#include "headwater/backend/cpu_backend.h"
#include "headwater/backend/timed_backend.h"
#include "headwater/stage/initialize.h"

#include "tests/train/training_run.h"

#include <map>
#include <mutex>

namespace headwater {
namespace {

using test::Layout;

constexpr int kSteps = 4;
const std::vector<std::string> kFreeze = {
    "training.freeze=[\"embedding.*\",\"layers.0.*\",\"layers.2.attention.*\",\"layers.3.mlp_norm.weight\","
    "\"layers.3.lfa.conv?.bias\"]"};

bool frozen_by_these(const std::string& name) {
  return name.starts_with("embedding.") || name.starts_with("layers.0.") ||
         name.starts_with("layers.2.attention.") || name == "layers.3.mlp_norm.weight" ||
         (name.starts_with("layers.3.lfa.conv") && name.ends_with(".bias"));
}

RunConfig run_of(const std::vector<std::string>& more) {
  std::vector<std::string> overrides = test::training_overrides("unused", 1);
  overrides.insert(overrides.end(), more.begin(), more.end());
  RunConfig run = load_config({}, overrides).run;
  run.model = resolved(run.model, run.training.seq_length);
  return run;
}

// As a run of one rank begins, as its weights are in compute.
std::map<std::string, std::vector<float>> initial_weights(const std::string& dtype) {
  std::map<std::string, std::vector<float>> weights;
  run_on_threads(1, [&](World& world) {
    Engine engine(world, RankLayout(training_request(run_of({}), {dtype, 1}, 1), 0, 1), make_cpu_backend({}));
    initialize(engine.store(), engine.backend(), 1234, 1);
    for (const ParameterPlace& place : engine.store().layout().places()) {
      std::vector<float> values(static_cast<std::size_t>(place.spec.elements()));
      download(engine.backend(), engine.store().part(engine.store().weights(), place),
               TensorView(values.data(), DType::f32, {place.spec.elements()}));
      weights.emplace(place.spec.name, std::move(values));
    }
  });
  return weights;
}

// The checkpoint holds the frozen weights as they were, without moments, and others of everything else.
void expect_frozen(const Path& save, const std::string& dtype, const std::string& what) {
  const Checkpoint checkpoint(find_checkpoint(save));
  int frozen = 0;
  for (const auto& [name, before] : initial_weights(dtype)) {
    const std::int64_t count = std::ssize(before);
    std::vector<float> after(before.size());
    const StoredState& state = checkpoint.manifest().states.at({name, StateKind::weight});
    checkpoint.read(name, whole(state.shape), TensorView(after.data(), DType::f32, {count}));
    EXPECT_EQ(after == before, frozen_by_these(name)) << what << ": " << name;
    for (const StateKind kind : {StateKind::exp_avg, StateKind::exp_avg_sq})
      EXPECT_EQ(checkpoint.has(name, kind), !frozen_by_these(name)) << what << ": " << name;
    frozen += frozen_by_these(name) ? 1 : 0;
  }
  EXPECT_GT(frozen, 15);
}

std::vector<Layout> layouts() {
  const std::string tensor2 = "parallel.tensor_model_parallel_size=2",
                    sequence = "parallel.sequence_parallel=true",
                    sharded = "parallel.use_distributed_optimizer=true";
  Layout whole_stage = test::pipeline("pipeline 2, the first stage frozen", 2, 2, "[1,3]");
  return {{"full recomputation", 1, {"parallel.recompute=full"}},
          {"selective recomputation", 1, {"parallel.recompute=selective"}},
          {"tensor 2, tokens cut", 2, {tensor2, sequence}},
          {"tensor 2, filter by tokens", 2, {tensor2, sequence, "parallel.lfa_sharding=tokens"}},
          test::scheduled("zb-h1", 2, "[2,2]"),
          whole_stage,
          {"data 2, sharded optimizer", 2, {sharded}}};
}

TEST(Freeze, TheSameOnEveryLayout) {
  const TemporaryFolder one_folder;
  const test::TrainingRun one = test::train_in(one_folder / "save", {"one rank", 1, {}}, kSteps, kFreeze);
  expect_frozen(one_folder / "save", "fp32", "one rank");
  EXPECT_LT(one.curve.losses.back(), one.curve.losses.front());
  for (const Layout& layout : layouts()) {
    const TemporaryFolder folder;
    const test::TrainingRun run = test::train_in(folder / "save", layout, kSteps, kFreeze);
    test::expect_equal_curves(run.curve, one.curve, layout.name);
    expect_frozen(folder / "save", "fp32", layout.name);
  }
}

// Among other things the gradient of a stage whose parameters are all frozen.
TEST(Freeze, Bf16WeightsAndAStageWithoutGradients) {
  const std::vector<std::string> bf16 = {kFreeze.front(), "training.dtype=bf16"};
  for (const Layout& layout : {Layout{"one rank", 1, {}},
                               test::scheduled("zb-h1", 2, "[1,3]"),
                               {"pipeline 2, data 2, sharded",
                                4,
                                {"parallel.pipeline_model_parallel_size=2", "parallel.pipeline_layout=[1,3]",
                                 "parallel.use_distributed_optimizer=true",
                                 "training.check_weight_hash_across_dp_replicas_interval=1"}}}) {
    const TemporaryFolder folder;
    const test::TrainingRun run = test::train_in(folder / "save", layout, kSteps, bf16);
    expect_frozen(folder / "save", "bf16", layout.name);
    EXPECT_LT(run.curve.losses.back(), run.curve.losses.front()) << layout.name;
  }
}

struct FirstStep {
  std::map<std::string, std::vector<float>> gradients;
  std::map<std::string, OpTotals> ops;
  std::vector<Arena::Segment> taken;
  std::vector<SegmentSize> counted;
};

FirstStep first_step(const std::vector<std::string>& more) {
  FirstStep step;
  run_on_threads(1, [&](World& world) {
    auto timed = std::make_unique<TimedBackend>(make_cpu_backend({}));
    TimedBackend& counting = *timed;
    const RankLayout layout(training_request(run_of(more), {"fp32", 1}, 1), 0, 1);
    Engine engine(world, layout, std::move(timed));
    initialize(engine.store(), engine.backend(), 1234, 1);
    Optimizer optimizer = make_optimizer({}, engine, 1);
    counting.measure(true);
    optimizer.begin_step(0.0, 160.0);
    engine.execute(layout.schedule, HeadMode::train, [](int m) {
      std::vector<std::int32_t> tokens;
      for (int t = 0; t < 40; ++t) tokens.push_back((7 * t + 11 * m) % 192);
      return make_batch(tokens, tokens, 1, 40, {});
    });
    optimizer.reduce();
    step.ops = counting.take_totals();
    for (const ParameterPlace& place : engine.store().layout().places()) {
      const TensorView gradient = engine.store().gradient(place.spec.name);
      EXPECT_EQ(static_cast<bool>(gradient), place.spec.trained) << place.spec.name;
      if (!gradient) continue;
      const float* values = gradient.as<float>();
      step.gradients.emplace(place.spec.name, std::vector<float>(values, values + place.spec.elements()));
    }
    step.taken = engine.arena().segments();
    step.counted = layout.segments;
  });
  return step;
}

TEST(Freeze, OthersHaveTheSameGradientsAndFewerOpsAreCalled) {
  const FirstStep all = first_step({}), some = first_step(kFreeze);
  std::size_t frozen = 0;
  for (const auto& [name, gradient] : all.gradients) {
    EXPECT_EQ(some.gradients.contains(name), !frozen_by_these(name)) << name;
    if (frozen_by_these(name))
      ++frozen;
    else
      EXPECT_EQ(some.gradients.at(name), gradient) << name;
  }
  EXPECT_GT(frozen, 15U);
  const std::int64_t micro_batches = 4;
  // Layer 0: qk, v, o, two convolutions, gate and up, down; layer 2: qk, v, o; the head.
  EXPECT_EQ(some.ops.at("linear_weight_gradient").calls,
            all.ops.at("linear_weight_gradient").calls - micro_batches * (7 + 3 + 1));
  EXPECT_TRUE(all.ops.contains("embedding_backward"));
  EXPECT_FALSE(some.ops.contains("embedding_backward"));
  EXPECT_EQ(some.ops.at("linear_input_gradient").calls, all.ops.at("linear_input_gradient").calls);
  EXPECT_EQ(some.ops.at("add_squared_norm").calls,
            all.ops.at("add_squared_norm").calls - static_cast<std::int64_t>(frozen));
}

TEST(Freeze, MemoryIsTakenAsItIsCounted) {
  const FirstStep step = first_step(kFreeze);
  ASSERT_EQ(step.taken.size(), step.counted.size());
  for (std::size_t i = 0; i < step.taken.size(); ++i)
    EXPECT_EQ(step.taken[i].taken, step.counted[i].bytes) << step.taken[i].name;
}

std::int64_t updates_in(const Path& save) {
  return Checkpoint(find_checkpoint(save)).manifest().header.counters.updates;
}

std::string freeze(const char* patterns) { return std::string("training.freeze=") + patterns; }

TEST(Freeze, AResumeGoesOnAsIfNothingWere) {
  const Layout one{"one rank", 1, {}};
  const TemporaryFolder folder;
  test::train_in(folder / "save", one, kSteps, {kFreeze.front(), "training.exit_interval=2"});
  const test::TrainingRun resumed = test::train_in(folder / "save", one, kSteps, kFreeze);
  test::expect_same_bits(resumed, test::train(one, kSteps, kFreeze), "with a break");
}

// Moments of what is trained before and after are kept.
TEST(Freeze, AResumeMayFreezeMore) {
  const Layout one{"one rank", 1, {}};
  const TemporaryFolder folder;
  test::train_in(folder / "save", one, kSteps, {"training.exit_interval=2"});
  testing::internal::CaptureStderr();
  test::train_in(folder / "save", one, kSteps, {freeze("[\"embedding.*\",\"layers.0.*\"]")});
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("training.freeze: embedding.weight and "), std::string::npos) << log;
  EXPECT_NE(log.find("are not trained from now on"), std::string::npos) << log;
  EXPECT_EQ(updates_in(folder / "save"), kSteps);
}

// What was frozen has no moments, so that AdamW begins anew, with its count of updates.
TEST(Freeze, AResumeMayFreezeLess) {
  const Layout one{"one rank", 1, {}};
  const TemporaryFolder folder;
  test::train_in(folder / "save", one, kSteps, {kFreeze.front(), "training.exit_interval=2"});
  testing::internal::CaptureStderr();
  const test::TrainingRun run = test::train_in(folder / "save", one, kSteps, {freeze("[\"layers.0.*\"]")});
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("AdamW begins anew"), std::string::npos) << log;
  EXPECT_EQ(updates_in(folder / "save"), kSteps - 2);
  EXPECT_EQ(run.curve.losses.size(), static_cast<std::size_t>(kSteps));
  EXPECT_LT(run.curve.losses.back(), run.curve.losses.front());
}

}  // namespace
}  // namespace headwater
