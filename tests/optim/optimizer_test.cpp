// The optimizer on one rank, against AdamW written as one double-precision loop.

#include "headwater/optim/optimizer.h"

#include "headwater/backend/cpu_backend.h"
#include "headwater/comm/world.h"
#include "headwater/nn/unit_record.h"

#include "tests/support/models.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

namespace headwater {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// An optimizer with everything that it needs, and the parameters' state as doubles beside it.
class OptimizerTest : public testing::Test {
 protected:
  void make(const OptimizerConfig& config, DType compute = DType::f32) {
    config_ = config;
    const ModelSpec model = expand(test::small_model({}, 8));
    const Precision precision{compute, DType::f32};
    const ParameterLayout layout(model, {{0, model.units(), true, true}}, {});
    for (const char* segment : {"weights", "master", "gradients"})
      arena_.reserve(segment, aligned(4 * layout.elements()));
    arena_.reserve("optimizer", 2 * aligned(4 * layout.elements()));
    const std::int64_t workspace =
        aligned(op_workspace_bytes({.model = model, .batch = {1, 8}, .precision = precision}, true, 1));
    arena_.reserve("workspace", workspace);
    arena_.reserve("constants", aligned(8 * kStepScalars));
    store_ = std::make_unique<ParameterStore>(layout, arena_, precision, true);
    backend_->use_workspace(arena_.take("workspace", DType::i32, {workspace / 4}));
    scalars_ = arena_.take("constants", DType::f64, {kStepScalars});
    group_ = world_->group("world", {0});
    optimizer_ = std::make_unique<Optimizer>(
        config, *store_, *backend_,
        OptimizerGroups{[this](AxisSet) -> Communicator& { return *group_; }, *group_, *group_}, scalars_,
        TensorView());
    const auto size = static_cast<std::size_t>(layout.elements());
    weights_.assign(size, 0.0), first_.assign(size, 0.0), second_.assign(size, 0.0),
        gradients_.assign(size, 0.0);
    for_elements([&](const ParameterPlace&, std::size_t i) {
      store_->masters().as<float>()[i] = static_cast<float>(draw());
      weights_[i] = store_->masters().as<float>()[i];
    });
    backend_->run(op::Copy{.from = store_->masters(), .to = store_->weights()});
  }

  double draw() { return std::uniform_real_distribution<double>(-1.0, 1.0)(random_); }

  template <class Body>
  void for_elements(const Body& body) const {
    for (const ParameterPlace& place : store_->layout().places())
      for (std::int64_t i = 0; i < place.slice().count; ++i)
        body(place, static_cast<std::size_t>(place.offset + i));
  }

  // What a step's backward leaves behind.
  void leave_gradients(double scale, double loss_sum) {
    for_elements([&](const ParameterPlace&, std::size_t i) {
      store_->gradients().as<float>()[i] = static_cast<float>(scale * draw());
      gradients_[i] = store_->gradients().as<float>()[i];
    });
    scalars_.as<double>()[static_cast<int>(StepScalar::loss_sum)] = loss_sum;
  }

  StepScalars finish() {
    optimizer_->reduce();
    optimizer_->update();
    return optimizer_->read();
  }

  // Of the step that this finishes.
  double applied() {
    StepScalars scalars = finish();
    return at(scalars, StepScalar::apply);
  }

  double norm() const {
    double squares = 0.0;
    for (const double g : gradients_) squares += g * g;
    return std::sqrt(squares);
  }

  // Loshchilov & Hutter 2019, algorithm 2, at update t; `clip` is the factor on the gradients.
  void plain_adamw(double rate, int t, double clip) {
    for_elements([&](const ParameterPlace& place, std::size_t i) {
      const double g = gradients_[i] * clip;
      first_[i] = config_.adam_beta1 * first_[i] + (1 - config_.adam_beta1) * g;
      second_[i] = config_.adam_beta2 * second_[i] + (1 - config_.adam_beta2) * g * g;
      const double mean = first_[i] / (1 - std::pow(config_.adam_beta1, t));
      const double square = second_[i] / (1 - std::pow(config_.adam_beta2, t));
      const double decay = place.spec.shape.rank() >= 2 ? config_.weight_decay : 0.0;
      weights_[i] -= rate * (mean / (std::sqrt(square) + config_.adam_eps) + decay * weights_[i]);
    });
  }

  // Roundings of a few updates of weights near 1, each 2^−24 at most.
  void expect_state(double tolerance = 5e-7) const {
    for_elements([&](const ParameterPlace& place, std::size_t i) {
      ASSERT_NEAR(store_->masters().as<float>()[i], weights_[i], tolerance) << place.spec.name;
      ASSERT_NEAR(store_->first_moments().as<float>()[i], first_[i], tolerance) << place.spec.name;
      ASSERT_NEAR(store_->second_moments().as<float>()[i], second_[i], tolerance) << place.spec.name;
    });
  }

  std::vector<std::byte> bits() const {
    std::vector<std::byte> all;
    for (const TensorView& flat :
         {store_->masters(), store_->weights(), store_->first_moments(), store_->second_moments()})
      all.insert(all.end(), static_cast<std::byte*>(flat.data),
                 static_cast<std::byte*>(flat.data) + flat.bytes());
    return all;
  }

  std::unique_ptr<World> world_ = make_self_world();
  std::unique_ptr<Backend> backend_ = make_cpu_backend({});
  Arena arena_{Device{}};
  std::unique_ptr<Communicator> group_;
  std::unique_ptr<ParameterStore> store_;
  std::unique_ptr<Optimizer> optimizer_;
  TensorView scalars_;
  OptimizerConfig config_;
  std::vector<double> weights_, first_, second_, gradients_;
  std::mt19937 random_{3};
};

TEST_F(OptimizerTest, IsAdamWWithClippingByTheGlobalNorm) {
  make({.clip_grad = 3.0});
  const double scales[] = {0.5, 0.01, 2.0, 0.01, 0.02};  // some beyond the clip, some below
  int clipped = 0;
  for (int t = 1; t <= 5; ++t) {
    const double rate = 0.01 * t;
    optimizer_->begin_step(rate, 100.0);
    leave_gradients(scales[t - 1], 230.0);
    StepScalars scalars = finish();
    EXPECT_NEAR(std::sqrt(at(scalars, StepScalar::norm_squared)), norm(), 1e-12 * norm());
    const double factor = std::min(1.0, 3.0 / (norm() + 1e-6));
    EXPECT_NEAR(at(scalars, StepScalar::clip_factor), factor, 1e-12);
    EXPECT_EQ(at(scalars, StepScalar::loss_sum), 230.0);
    EXPECT_EQ(at(scalars, StepScalar::targets), 100.0);
    EXPECT_EQ(optimizer_->updates(), t);
    clipped += factor < 1.0 ? 1 : 0;
    plain_adamw(rate, t, factor);
    expect_state();
  }
  EXPECT_EQ(clipped, 2);
}

TEST_F(OptimizerTest, WithoutClippingTheNormIsStillThere) {
  make({.clip_grad = 0.0});
  optimizer_->begin_step(0.01, 1.0);
  leave_gradients(5.0, 1.0);
  StepScalars scalars = finish();
  EXPECT_NEAR(std::sqrt(at(scalars, StepScalar::norm_squared)), norm(), 1e-12 * norm());
  EXPECT_EQ(at(scalars, StepScalar::clip_factor), 1.0);
  plain_adamw(0.01, 1, 1.0);
  expect_state(4e-6);  // second moments of 1.25
}

TEST_F(OptimizerTest, BeginsEachStepFromZero) {
  make({});
  optimizer_->begin_step(0.01, 7.0);
  leave_gradients(1.0, 5.0);
  finish();
  optimizer_->begin_step(0.02, 8.0);
  for_elements(
      [&](const ParameterPlace&, std::size_t i) { ASSERT_EQ(store_->gradients().as<float>()[i], 0.0F); });
  StepScalars scalars = optimizer_->read();
  EXPECT_EQ(at(scalars, StepScalar::loss_sum), 0.0);
  EXPECT_EQ(at(scalars, StepScalar::norm_squared), 0.0);
  EXPECT_EQ(at(scalars, StepScalar::targets), 8.0);
  EXPECT_EQ(at(scalars, StepScalar::learning_rate), 0.02);
}

TEST_F(OptimizerTest, ANonFiniteStepChangesNothingAndIsNotCounted) {
  make({});
  optimizer_->begin_step(0.01, 1.0);
  leave_gradients(0.1, 1.0);
  const double first_factor = std::min(1.0, 1.0 / (norm() + 1e-6));
  EXPECT_EQ(applied(), 1.0);
  plain_adamw(0.01, 1, first_factor);
  const std::vector<std::byte> before = bits();

  const std::size_t last = static_cast<std::size_t>(store_->layout().places().back().offset);
  for (const double bad : {kInfinity, -kInfinity, std::nan("")}) {
    optimizer_->begin_step(0.01, 1.0);
    leave_gradients(0.1, 1.0);
    store_->gradients().as<float>()[last] = static_cast<float>(bad);
    EXPECT_EQ(applied(), 0.0) << "gradient " << bad;
    optimizer_->begin_step(0.01, 1.0);
    leave_gradients(0.1, bad);
    EXPECT_EQ(applied(), 0.0) << "loss " << bad;
  }
  EXPECT_EQ(optimizer_->updates(), 1);
  EXPECT_EQ(bits(), before);

  // The next good step is the second update, for the bias correction too.
  optimizer_->begin_step(0.01, 1.0);
  leave_gradients(0.1, 1.0);
  const double factor = std::min(1.0, 1.0 / (norm() + 1e-6));
  EXPECT_EQ(applied(), 1.0);
  EXPECT_EQ(optimizer_->updates(), 2);
  plain_adamw(0.01, 2, factor);
  expect_state();
}

TEST_F(OptimizerTest, UpdatesGoOnWhereAResumeSaysSo) {
  make({});
  optimizer_->set_updates(40);
  optimizer_->begin_step(0.01, 1.0);
  leave_gradients(0.001, 1.0);
  finish();
  EXPECT_EQ(optimizer_->updates(), 41);
  plain_adamw(0.01, 41, 1.0);
  expect_state();
}

TEST_F(OptimizerTest, DecaysTwoDimensionsAndMoreOnly) {
  make({.weight_decay = 0.5});
  optimizer_->begin_step(0.1, 1.0);  // gradients are zero
  finish();
  for_elements([&](const ParameterPlace& place, std::size_t i) {
    const double factor = place.spec.shape.rank() >= 2 ? 1.0 - 0.1 * 0.5 : 1.0;
    ASSERT_NEAR(store_->masters().as<float>()[i], weights_[i] * factor, 1e-7) << place.spec.name;
  });
}

TEST_F(OptimizerTest, Bf16WeightsAreTheMastersRounded) {
  make({}, DType::bf16);
  optimizer_->begin_step(0.01, 1.0);
  leave_gradients(0.1, 1.0);
  const double factor = std::min(1.0, 1.0 / (norm() + 1e-6));
  finish();
  plain_adamw(0.01, 1, factor);
  expect_state();
  for_elements([&](const ParameterPlace& place, std::size_t i) {
    ASSERT_EQ(store_->weights().as<bf16>()[i].bits, bf16(store_->masters().as<float>()[i]).bits)
        << place.spec.name;
  });
}

}  // namespace
}  // namespace headwater
