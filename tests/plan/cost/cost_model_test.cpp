#include "headwater/plan/cost/cost_model.h"

#include "headwater/nn/flops.h"
#include "headwater/run/freeze.h"
#include "tests/support/models.h"

#include <gtest/gtest.h>

#include <limits>

namespace headwater {
namespace {

constexpr double kFree = std::numeric_limits<double>::infinity();

RankWork a_rank(bool lfa = true, std::int64_t tensor = 1) {
  RankWork work;
  work.model = expand(test::small_model({.lfa = lfa, .layers = 3}, 16));
  work.sharding.tensor = tensor;
  work.batch = {2, 16};
  work.precision = {DType::bf16, DType::f32};
  return work;
}

double forward_flops(const RankWork& work, int layer) {
  return forward_flops_per_token(work.model, layer + 1, 16).total() * 32.0;
}

// Where memory is free only products take time: forward once, backward twice, attention's backward two and a
// half times.
TEST(CostModel, CountsTheFlopsOfTheDescriptions) {
  const RankWork work = a_rank();
  const CostModel model(work, {1e6, kFree, {}}, {});
  const PassSeconds& layer = model.unit(1, Recompute::none);
  const Flops flops = forward_flops_per_token(work.model, 1, 16);
  EXPECT_DOUBLE_EQ(layer.forward.compute, forward_flops(work, 0) / 1e6);
  EXPECT_DOUBLE_EQ(layer.input_gradient.compute, 32.0 * (flops.linear + 2.5 * flops.attention) / 1e6);
  EXPECT_DOUBLE_EQ(layer.weight_gradient.compute, 32.0 * flops.linear / 1e6);
  EXPECT_EQ(layer.forward.recompute + layer.input_gradient.recompute, 0.0);
  // The head's gradients are taken in forward, of the padded vocabulary (24 for 19).
  EXPECT_DOUBLE_EQ(model.unit(4, Recompute::none).forward.compute, 3.0 * 2.0 * 32.0 * 24.0 * 12.0 / 1e6);
  EXPECT_EQ(model.unit(0, Recompute::none).total(), 0.0);
}

// What is not trained costs its forward and its input's gradient.
TEST(CostModel, LeavesOutTheGradientsOfWhatIsNotTrained) {
  const RankWork all = a_rank();
  RankWork work = all;
  freeze(work.model, {"embedding.*", "layers.1.*", "layers.2.mlp.*"});
  const CostModel with(all, {1e6, 1e6, {}}, {}), without(work, {1e6, 1e6, {}}, {});
  for (const int unit : {0, 2}) {
    EXPECT_GT(with.unit(unit, Recompute::none).weight_gradient.compute, 0.0);
    EXPECT_EQ(without.unit(unit, Recompute::none).weight_gradient.compute, 0.0);
  }
  const auto seconds = [](const CostModel& model, int unit) { return model.unit(unit, Recompute::none); };
  EXPECT_EQ(seconds(without, 1).weight_gradient.compute, seconds(with, 1).weight_gradient.compute);
  EXPECT_LT(seconds(without, 3).weight_gradient.compute, seconds(with, 3).weight_gradient.compute);
  EXPECT_GT(seconds(without, 3).weight_gradient.compute, 0.0);
  // The head's weight is the embedding's: of its three products, two are left.
  const CostModel with_free(all, {1e6, kFree, {}}, {}), without_free(work, {1e6, kFree, {}}, {});
  EXPECT_DOUBLE_EQ(seconds(without_free, 4).forward.compute,
                   seconds(with_free, 4).forward.compute * 2.0 / 3.0);
  EXPECT_EQ(seconds(without, 2).forward.compute, seconds(with, 2).forward.compute);
}

// A CPU takes its head in blocks of 256 tokens here, a GPU all at once: the weight and its gradient's sum
// move once.
TEST(CostModel, EveryBlockOfTheHeadMovesItsWeights) {
  const auto head = [](Device::Kind device, std::int64_t hidden) {
    ModelConfig model = test::small_model({.layers = 3}, 16);
    model.hidden_size = hidden;
    model.vocab_size = 100'000;  // 100,008 padded
    RankWork work = a_rank();
    work.model = expand(model);
    work.batch = {64, 16};
    work.device = device;
    return CostModel(work, {1e30, 1e6, {}}, {}).unit(4, Recompute::none).forward.compute;
  };
  // What 12 more elements of the residual stream take.
  const auto products = [&](Device::Kind device) { return head(device, 24) - head(device, 12); };
  const double once = 1e-6 * 12 * (2.0 * 100'008 * 2 + 2.0 * 100'008 * 4);
  const double stream = 1e-6 * 12 * 1024 * 2 * 3;  // input, normed, its gradient
  EXPECT_NEAR(products(Device::Kind::cuda), once + stream, 0.02 * once);
  EXPECT_NEAR(products(Device::Kind::cpu), 4.0 * once + stream, 0.02 * once);
}

TEST(CostModel, FullRecomputationRepeatsTheForwardButItsLastProduct) {
  const RankWork work = a_rank();
  const CostModel model(work, {1e6, 1e6, {}}, {});
  const PassSeconds none = model.unit(2, Recompute::none), selective = model.unit(2, Recompute::selective),
                    full = model.unit(2, Recompute::full);
  const double last_product = 2.0 * 32.0 * 12.0 * 20.0;
  EXPECT_DOUBLE_EQ(full.input_gradient.recompute, none.forward.compute - last_product / 1e6);
  EXPECT_DOUBLE_EQ(full.input_gradient.compute, none.input_gradient.compute);
  EXPECT_GT(selective.input_gradient.recompute, 0.0);
  EXPECT_LT(selective.input_gradient.recompute, full.input_gradient.recompute / 2.0);
  EXPECT_DOUBLE_EQ(model.recompute_flops_per_token(2, Recompute::full) * 32.0,
                   forward_flops(work, 1) - last_product);
  EXPECT_EQ(model.recompute_flops_per_token(2, Recompute::selective) * 32.0,
            forward_flops_per_token(work.model, 2, 16).attention * 32.0);
  EXPECT_EQ(model.recompute_flops_per_token(2, Recompute::none), 0.0);
  EXPECT_EQ(model.recompute_flops_per_token(0, Recompute::full), 0.0);
}

TEST(CostModel, WhatIsNoProductGoesByMemory) {
  const RankWork work = a_rank();
  const CostModel slow(work, {kFree, 1e6, {}}, {}), fast(work, {kFree, 4e6, {}}, {});
  for (int unit = 0; unit < work.model.units(); ++unit) {
    EXPECT_GT(slow.unit(unit, Recompute::none).forward.total(), 0.0) << unit;
    EXPECT_NEAR(slow.unit(unit, Recompute::none).total(), 4.0 * fast.unit(unit, Recompute::none).total(),
                1e-12)
        << unit;
  }
  EXPECT_GT(slow.optimizer_seconds(1e6), 0.0);
  EXPECT_DOUBLE_EQ(slow.optimizer_seconds(1e6), (9 * 4 + 2) * 1.0);
}

// Of 2 samples of 16 tokens, 6 heads of 4 values: scores 2 x 6 x 16 x 16, in two bytes each.
TEST(CostModel, WholeScoresAreComputedAndMoved) {
  const RankWork work = a_rank(false);
  constexpr double kScores = 2.0 * 6 * 16 * 16;
  const auto more = [&](double flops, double bandwidth, auto of) {
    const SoftwareFigures whole{.whole_scores = true};
    return of(CostModel(work, {flops, bandwidth, whole}, {}).unit(1, Recompute::selective)) -
           of(CostModel(work, {flops, bandwidth, {}}, {}).unit(1, Recompute::selective));
  };
  const auto forward = [](const PassSeconds& s) { return s.forward.compute; };
  const auto again = [](const PassSeconds& s) { return s.input_gradient.recompute; };
  const auto backward = [](const PassSeconds& s) { return s.input_gradient.compute; };
  // Two products of the whole square for the half with its diagonal, 17 of 32; backward four for five.
  constexpr double kProducts = 2.0 * 2.0 * kScores * 4.0;
  EXPECT_NEAR(more(1e6, kFree, forward), kProducts * (1.0 - 17.0 / 32.0) / 1e6, 1e-12);
  EXPECT_NEAR(more(1e6, kFree, again), kProducts * (1.0 - 17.0 / 32.0) / 1e6, 1e-12);
  EXPECT_NEAR(more(1e6, kFree, backward), kProducts * (2.0 - 2.5 * 17.0 / 32.0) / 1e6, 1e-12);
  // Without dropout.
  EXPECT_NEAR(more(kFree, 1e6, forward), 4.0 * 2.0 * kScores / 1e6, 1e-12);
  EXPECT_NEAR(more(kFree, 1e6, backward), 7.0 * 2.0 * kScores / 1e6, 1e-12);
}

TEST(CostModel, OtherSoftwareRepeatsTheLastProductAndLaunches) {
  const RankWork work = a_rank();
  const auto seconds = [&](SoftwareFigures software) {
    return CostModel(work, {1e6, kFree, software}, {}).unit(1, Recompute::full);
  };
  const PassSeconds ours = seconds({}), whole = seconds({.whole_recompute = true}),
                    launches = seconds({.launch_seconds = 0.5});
  EXPECT_NEAR(whole.input_gradient.recompute, ours.forward.compute, 1e-12);
  EXPECT_NEAR(launches.forward.compute - ours.forward.compute, 0.5, 1e-12);
  EXPECT_NEAR(launches.total() - ours.total(), 4.0 * 0.5, 1e-9);  // forward, again, and a backward of two
}

TEST(CostModel, AStageIsTheSumOfItsUnits) {
  const RankWork work = a_rank();
  const CostModel model(work, {1e6, 1e6, {}}, {});
  StageUnits all;
  all.last = work.model.units();
  all.has_embedding = all.has_head = true;
  all.recompute = Recompute::full;
  all.recomputed = 2;
  double sum = 0.0;
  for (int u = 0; u < work.model.units(); ++u)
    sum += model.unit(u, u == 1 || u == 2 ? Recompute::full : Recompute::none).total();
  EXPECT_NEAR(model.stage(all).total(), sum, 1e-12 * sum);
}

TEST(CostModel, AMessageIsOneResidualStream) {
  EXPECT_EQ(CostModel(a_rank(), {1.0, 1.0, {}}, {}).message_bytes(), 32 * 12 * 2);
  EXPECT_EQ(CostModel(a_rank(), {1.0, 1.0, {}}, {}).tensor_bytes(1, Recompute::full), 0.0);
  EXPECT_EQ(CostModel(a_rank(true, 2), {1.0, 1.0, {}}, {}).message_bytes(), 32 * 12 * 2);
  EXPECT_EQ(CostModel(a_rank(true, 2), {1.0, 1.0, {.split_messages = true}}, {}).message_bytes(), 32 * 12);
}

}  // namespace
}  // namespace headwater
