// The reference catalogue's gradients against central differences of its own forward ops.

#include "tests/reference/reference_backend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace headwater {
namespace {

// A dense f64 tensor that owns its memory.
struct Array {
  std::vector<double> values;
  Shape shape;

  explicit Array(Shape dims) : values(static_cast<std::size_t>(dims.elements())), shape(dims) {}
  operator TensorView() { return {values.data(), DType::f64, shape}; }
};

struct Indices {
  std::vector<std::int32_t> values;
  operator TensorView() { return {values.data(), DType::i32, {static_cast<std::int64_t>(values.size())}}; }
};

void subtract(Array& from, const Array& what) {
  for (std::size_t i = 0; i < from.values.size(); ++i) from.values[i] -= what.values[i];
}

class ReferenceGradients : public ::testing::Test {
 protected:
  Array random(Shape shape, double scale = 1.0) {
    Array array(shape);
    std::uniform_real_distribution<double> distribution(-scale, scale);
    for (double& value : array.values) value = distribution(generator_);
    return array;
  }

  // `gradient` is what backward gave for `x`, for the loss Σ d_out · out; forward() writes `out` anew.
  static void expect_gradient(const std::string& name, Array& x, const Array& gradient, const Array& out,
                              const Array& d_out, const std::function<void()>& forward) {
    constexpr double kStep = 1e-5;
    const auto loss = [&] {
      forward();
      double sum = 0.0;
      for (std::size_t i = 0; i < out.values.size(); ++i) sum += out.values[i] * d_out.values[i];
      return sum;
    };
    for (std::size_t i = 0; i < x.values.size(); ++i) {
      const double value = x.values[i];
      x.values[i] = value + kStep;
      const double above = loss();
      x.values[i] = value - kStep;
      const double below = loss();
      x.values[i] = value;
      EXPECT_NEAR(gradient.values[i], (above - below) / (2 * kStep), 1e-7) << name << " element " << i;
    }
    forward();
  }

  ReferenceBackend ops;

 private:
  std::mt19937 generator_{20};
};

TEST_F(ReferenceGradients, Linear) {
  Array x = random({5, 3}), w = random({4, 3}), y({5, 4}), dy = random({5, 4}), dx = random({5, 3}),
        dw = random({4, 3});
  const auto forward = [&] { ops.run(op::Linear{.x = x, .w = w, .y = y}); };
  const Array dx_before = dx, dw_before = dw;
  ops.run(op::LinearInputGradient{.dy = dy, .w = w, .dx = dx, .accumulate = true});
  ops.run(op::LinearWeightGradient{.dy = dy, .x = x, .dw = dw});
  subtract(dx, dx_before);
  subtract(dw, dw_before);
  expect_gradient("x", x, dx, y, dy, forward);
  expect_gradient("w", w, dw, y, dy, forward);
  ops.run(op::LinearInputGradient{.dy = dy, .w = w, .dx = dx});
  expect_gradient("x, not added", x, dx, y, dy, forward);
}

TEST_F(ReferenceGradients, Embedding) {
  Indices tokens{{12, 10, 12, 9, 13}};  // the table holds 10 … 12
  Array table = random({3, 2}), out({5, 2}), d_out = random({5, 2}), d_table({3, 2});
  ops.run(op::EmbeddingBackward{.tokens = tokens, .d_out = d_out, .first = 10, .d_table = d_table});
  expect_gradient("table", table, d_table, out, d_out,
                  [&] { ops.run(op::Embedding{.tokens = tokens, .table = table, .first = 10, .out = out}); });
}

TEST_F(ReferenceGradients, Norm) {
  Array x = random({4, 6}), gain = random({6}), y({4, 6}), rstd({4}), dy = random({4, 6}), dx({4, 6}),
        d_gain({6});
  const auto forward = [&] {
    ops.run(op::Norm{.x = x, .norm = {.gain = gain, .epsilon = 1e-3, .y = y, .rstd = rstd}});
  };
  forward();
  op::NormBackward backward{
      .dy = dy, .x = x, .dx = dx, .norm = {.gain = gain, .rstd = rstd, .d_gain = d_gain}};
  ops.run(backward);
  expect_gradient("x", x, dx, y, dy, forward);
  expect_gradient("gain", gain, d_gain, y, dy, forward);

  // A gradient that x has besides, in a tensor of its own and in dx.
  const Array alone = dx;
  Array addend = random({4, 6});
  backward.addend = addend;
  ops.run(backward);
  subtract(dx, addend);
  for (std::size_t i = 0; i < dx.values.size(); ++i) EXPECT_NEAR(dx.values[i], alone.values[i], 1e-14) << i;
  dx = addend;
  backward.addend = backward.dx = dx;
  ops.run(backward);
  subtract(dx, addend);
  for (std::size_t i = 0; i < dx.values.size(); ++i) EXPECT_NEAR(dx.values[i], alone.values[i], 1e-14) << i;
}

TEST_F(ReferenceGradients, LayerNorm) {
  Array x = random({4, 6}), gain = random({6}), bias = random({6}), y({4, 6}), rstd({4}), mean({4}),
        dy = random({4, 6}), dx({4, 6}), d_gain({6}), d_bias({6});
  const auto forward = [&] {
    ops.run(op::Norm{
        .x = x, .norm = {.gain = gain, .epsilon = 1e-3, .y = y, .rstd = rstd, .bias = bias, .mean = mean}});
  };
  forward();
  ops.run(op::NormBackward{
      .dy = dy,
      .x = x,
      .dx = dx,
      .norm = {.gain = gain, .rstd = rstd, .d_gain = d_gain, .mean = mean, .d_bias = d_bias}});
  expect_gradient("x", x, dx, y, dy, forward);
  expect_gradient("gain", gain, d_gain, y, dy, forward);
  expect_gradient("bias", bias, d_bias, y, dy, forward);
}

TEST_F(ReferenceGradients, Dropout) {
  std::vector<std::int32_t> keys = {5, -7, 11, 13};
  const Dropout dropout{0.4, 3, TensorView(keys.data(), DType::i32, {2, 2})};
  Array branch = random({6, 5}), x = random({6, 5}), out({6, 5}), d_out = random({6, 5}), d_branch({6, 5});
  const auto forward = [&] {
    ops.run(op::ResidualAdd{.branch = branch, .x = x, .dropout = dropout, .out = out});
  };
  ops.run(op::DropoutBackward{.d_out = d_out, .dropout = dropout, .d_branch = d_branch});
  expect_gradient("branch", branch, d_branch, out, d_out, forward);
  expect_gradient("x", x, d_out, out, d_out, forward);
  const auto dropped = std::count(d_branch.values.begin(), d_branch.values.end(), 0.0);
  EXPECT_GT(dropped, 4);
  EXPECT_LT(dropped, 26);
}

TEST_F(ReferenceGradients, LfaTaps) {
  // Two samples of four tokens, seen from index 40; the first document reaches into the rows before, one has
  // length 1.
  Indices start{{38, 38, 42, 43, 44, 44, 44, 47}};
  const Borders borders{start, 40};
  Array products = random({8, 6}), before = random({2, 3}), bias = random({3}), out({8, 3}),
        d_out = random({8, 3});
  Array d_products({8, 6}), d_before({2, 3}), d_bias({3});
  const auto forward = [&] {
    ops.run(op::LfaTaps{
        .products = products, .borders = borders, .samples = 2, .before = before, .bias = bias, .out = out});
  };
  ops.run(op::LfaTapsBackward{.d_out = d_out,
                              .borders = borders,
                              .samples = 2,
                              .d_products = d_products,
                              .d_before = d_before,
                              .d_bias = d_bias});
  expect_gradient("products", products, d_products, out, d_out, forward);
  expect_gradient("before", before, d_before, out, d_out, forward);
  expect_gradient("bias", bias, d_bias, out, d_out, forward);
}

TEST_F(ReferenceGradients, LfaTapsAndNorm) {
  Indices start{{0, 0, 2, 2}};
  Array products = random({4, 6}), bias = random({3}), residual = random({4, 3}), gain = random({3});
  Array z({4, 3}), y({4, 3}), rstd({4}), dy = random({4, 3}), dz({4, 3}), d_products({4, 6}), d_bias({3}),
                                         d_gain({3});
  const auto forward = [&] {
    ops.run(op::LfaTapsNorm{
        .taps = {.products = products, .borders = {start, 0}, .bias = bias, .residual = residual, .out = z},
        .norm = {.gain = gain, .epsilon = 1e-3, .y = y, .rstd = rstd},
    });
  };
  forward();
  ops.run(
      op::NormBackward{.dy = dy, .x = z, .dx = dz, .norm = {.gain = gain, .rstd = rstd, .d_gain = d_gain}});
  ops.run(
      op::LfaTapsBackward{.d_out = dz, .borders = {start, 0}, .d_products = d_products, .d_bias = d_bias});
  expect_gradient("products", products, d_products, y, dy, forward);
  expect_gradient("residual", residual, dz, y, dy, forward);
  expect_gradient("bias", bias, d_bias, y, dy, forward);
  expect_gradient("gain", gain, d_gain, y, dy, forward);
}

TEST_F(ReferenceGradients, Rotary) {
  Indices position{{2, 0, 1}};
  Array table({3, 2, 2}), x = random({3, 2, 6}), out({3, 2, 6}), d_out = random({3, 2, 6});
  for (std::size_t i = 0; i < 6; ++i) {
    table.values[2 * i] = std::cos(static_cast<double>(i));
    table.values[2 * i + 1] = std::sin(static_cast<double>(i));
  }
  Array dx = d_out;
  ops.run(op::Rotary{.x = dx, .position = position, .table = table, .inverse = true});
  expect_gradient("x", x, dx, out, d_out, [&] {
    out.values = x.values;
    ops.run(op::Rotary{.x = out, .position = position, .table = table});
  });
}

TEST_F(ReferenceGradients, Activation) {
  using enum op::ActivationFunction;
  for (const op::ActivationFunction function : {relu, gelu, gelu_tanh}) {
    Array x = random({3, 8}, 3.0), out({3, 8}), d_out = random({3, 8}), dx({3, 8});
    ops.run(op::ActivationBackward{.function = function, .d_out = d_out, .x = x, .dx = dx});
    expect_gradient("x", x, dx, out, d_out,
                    [&] { ops.run(op::Activation{.function = function, .x = x, .out = out}); });
  }
}

TEST_F(ReferenceGradients, Swiglu) {
  Array x = random({3, 8}, 3.0), out({3, 4}), d_out = random({3, 4}), dx({3, 8});
  ops.run(op::SwigluBackward{.d_out = d_out, .x = x, .dx = dx});
  expect_gradient("x", x, dx, out, d_out, [&] { ops.run(op::Swiglu{.x = x, .out = out}); });
}

TEST_F(ReferenceGradients, Attention) {
  struct Variant {
    std::int64_t queries, query_offset;
    double dropout;
  };
  for (const Variant& variant : {Variant{5, 0, 0.0}, {5, 0, 0.3}, {2, 3, 0.0}}) {
    std::vector<std::int32_t> keys = {5, -7, 11, 13};
    Indices start;  // two samples of five keys; a border before key 2, another before key 4
    for (std::int32_t sample = 0; sample < 2; ++sample)
      for (std::int64_t i = 0; i < variant.queries; ++i) {
        const std::int64_t key = i + variant.query_offset;
        start.values.push_back(5 * sample + (key < 2 ? 0 : key < 4 ? 2 : 4));
      }
    Array q = random({2 * variant.queries, 4, 3}), k = random({10, 2, 3}), v = random({10, 2, 3});
    Array out(q.shape), lse({q.shape[0], 4}), d_out = random(q.shape), dq(q.shape), dk(k.shape), dv(v.shape);
    AttentionArguments args;
    args.q = q;
    args.k = k;
    args.v = v;
    args.samples = 2;
    args.borders = {start, 0};
    args.query_offset = variant.query_offset;
    args.scale = 0.7;
    args.dropout = {variant.dropout, 1, TensorView(keys.data(), DType::i32, {2, 2})};
    const auto forward = [&] { ops.run(op::Attention{.of = args, .out = out, .lse = lse}); };
    forward();
    ops.run(op::AttentionBackward{
        .of = args, .out = out, .lse = lse, .d_out = d_out, .dq = dq, .dk = dk, .dv = dv});
    expect_gradient("q", q, dq, out, d_out, forward);
    expect_gradient("k", k, dk, out, d_out, forward);
    expect_gradient("v", v, dv, out, d_out, forward);
  }
}

TEST_F(ReferenceGradients, CrossEntropy) {
  Indices labels{{12, -1, 10, 13}};  // of a vocabulary whose columns 10 … 14 are here, the last one padding
  Array logits = random({4, 5}, 2.0), statistics({4, 3}), scalars({kStepScalars}), loss({1}), one({1});
  one.values[0] = 1.0;
  const auto forward = [&] {
    scalars.values.assign(scalars.values.size(), 0.0);
    scalars.values[static_cast<std::size_t>(StepScalar::targets)] = 3.0;
    ops.run(op::SoftmaxStatistics{
        .logits = logits, .labels = labels, .first = 10, .valid = 4, .statistics = statistics});
    ops.run(op::CrossEntropyLoss{.labels = labels, .statistics = statistics, .scalars = scalars});
    loss.values[0] =
        scalars.values[static_cast<std::size_t>(StepScalar::loss_sum)] / 3.0;  // the mean over targets
  };
  forward();
  Array gradient = logits;
  ops.run(op::CrossEntropyBackward{.logits = gradient,
                                   .labels = labels,
                                   .first = 10,
                                   .valid = 4,
                                   .statistics = statistics,
                                   .scalars = scalars});
  expect_gradient("logits", logits, gradient, loss, one, forward);
}

// One step from zero moments is a step of the learning rate against the sign of the gradient, and the decay.
TEST_F(ReferenceGradients, FirstAdamStep) {
  Array master = random({4}), gradient = random({4}), m({4}), v({4}), scalars({kStepScalars});
  scalars.values[static_cast<std::size_t>(StepScalar::learning_rate)] = 0.01;
  scalars.values[static_cast<std::size_t>(StepScalar::norm_squared)] = 4.0;
  ops.run(op::DecideStep{.clip = 1.0, .scalars = scalars});
  const Array before = master;
  ops.run(op::AdamW{.master = master,
                    .gradient = gradient,
                    .first_moment = m,
                    .second_moment = v,
                    .weight = master,
                    .epsilon = 0.0,
                    .weight_decay = 0.1,
                    .scalars = scalars});
  for (std::size_t i = 0; i < 4; ++i) {
    const double sign = gradient.values[i] > 0.0 ? 1.0 : -1.0;
    EXPECT_NEAR(master.values[i], before.values[i] - 0.01 * (sign + 0.1 * before.values[i]), 1e-12);
    EXPECT_NEAR(m.values[i], 0.1 * gradient.values[i] / (2.0 + 1e-6), 1e-12);  // clipped to norm 1
  }
}

}  // namespace
}  // namespace headwater
