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
  const auto forward = [&] { ops.linear(x, {w, {}}, y); };
  const Array dx_before = dx, dw_before = dw;
  ops.linear_input_gradient(dy, {w, {}}, dx, true);
  ops.linear_weight_gradient(dy, x, dw);
  for (std::size_t i = 0; i < dx.values.size(); ++i) dx.values[i] -= dx_before.values[i];
  for (std::size_t i = 0; i < dw.values.size(); ++i) dw.values[i] -= dw_before.values[i];
  expect_gradient("x", x, dx, y, dy, forward);
  expect_gradient("w", w, dw, y, dy, forward);
  ops.linear_input_gradient(dy, {w, {}}, dx, false);
  expect_gradient("x, not added", x, dx, y, dy, forward);
}

TEST_F(ReferenceGradients, Embedding) {
  Indices tokens{{12, 10, 12, 9, 13}};  // the table holds 10 … 12
  Array table = random({3, 2}), out({5, 2}), d_out = random({5, 2}), d_table({3, 2});
  ops.embedding_backward(tokens, d_out, 10, d_table);
  expect_gradient("table", table, d_table, out, d_out, [&] { ops.embedding(tokens, table, 10, out); });
}

TEST_F(ReferenceGradients, RmsNorm) {
  Array x = random({4, 6}), gain = random({6}), y({4, 6}), rstd({4}), dy = random({4, 6}), dx({4, 6}),
        d_gain({6});
  const auto forward = [&] { ops.rms_norm(x, gain, 1e-3, y, rstd); };
  forward();
  ops.rms_norm_backward(dy, x, gain, rstd, dx, false, d_gain);
  expect_gradient("x", x, dx, y, dy, forward);
  expect_gradient("gain", gain, d_gain, y, dy, forward);
}

TEST_F(ReferenceGradients, Dropout) {
  std::vector<std::int32_t> keys = {5, -7, 11, 13};
  const Dropout dropout{0.4, 3, TensorView(keys.data(), DType::i32, {2, 2})};
  Array branch = random({6, 5}), x = random({6, 5}), out({6, 5}), d_out = random({6, 5}), d_branch({6, 5});
  const auto forward = [&] { ops.residual_add(branch, x, dropout, out); };
  ops.dropout_backward(d_out, dropout, d_branch);
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
  const auto forward = [&] { ops.lfa_taps(products, borders, 2, before, bias, {}, out); };
  ops.lfa_taps_backward(d_out, borders, 2, d_products, d_before, d_bias);
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
    ops.lfa_taps_rms_norm(products, {start, 0}, 1, {}, bias, residual, gain, 1e-3, z, y, rstd);
  };
  forward();
  ops.rms_norm_backward(dy, z, gain, rstd, dz, false, d_gain);
  ops.lfa_taps_backward(dz, {start, 0}, 1, d_products, {}, d_bias);
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
  ops.rotary(dx, position, table, true);
  expect_gradient("x", x, dx, out, d_out, [&] {
    out.values = x.values;
    ops.rotary(out, position, table, false);
  });
}

TEST_F(ReferenceGradients, Swiglu) {
  Array x = random({3, 8}, 3.0), out({3, 4}), d_out = random({3, 4}), dx({3, 8});
  ops.swiglu_backward(d_out, x, dx);
  expect_gradient("x", x, dx, out, d_out, [&] { ops.swiglu(x, out); });
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
    AttentionArgs args;
    args.q = q;
    args.k = k;
    args.v = v;
    args.samples = 2;
    args.borders = {start, 0};
    args.query_offset = variant.query_offset;
    args.scale = 0.7;
    args.dropout = {variant.dropout, 1, TensorView(keys.data(), DType::i32, {2, 2})};
    const auto forward = [&] { ops.attention(args, out, lse); };
    forward();
    ops.attention_backward(args, out, lse, d_out, dq, dk, dv);
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
    ops.softmax_statistics(logits, labels, 10, 4, statistics);
    ops.cross_entropy_loss(labels, statistics, scalars);
    loss.values[0] =
        scalars.values[static_cast<std::size_t>(StepScalar::loss_sum)] / 3.0;  // the mean over targets
  };
  forward();
  Array gradient = logits;
  ops.cross_entropy_backward(gradient, labels, 10, 4, statistics, scalars);
  expect_gradient("logits", logits, gradient, loss, one, forward);
}

// One step from zero moments is a step of the learning rate against the sign of the gradient, and the decay.
TEST_F(ReferenceGradients, FirstAdamStep) {
  Array master = random({4}), gradient = random({4}), m({4}), v({4}), scalars({kStepScalars});
  scalars.values[static_cast<std::size_t>(StepScalar::learning_rate)] = 0.01;
  scalars.values[static_cast<std::size_t>(StepScalar::norm_squared)] = 4.0;
  ops.decide_step(1.0, scalars);
  const Array before = master;
  AdamWArgs args;
  args.master = args.weight = master;
  args.gradient = gradient;
  args.first_moment = m;
  args.second_moment = v;
  args.epsilon = 0.0;
  args.weight_decay = 0.1;
  ops.adamw(args, scalars);
  for (std::size_t i = 0; i < 4; ++i) {
    const double sign = gradient.values[i] > 0.0 ? 1.0 : -1.0;
    EXPECT_NEAR(master.values[i], before.values[i] - 0.01 * (sign + 0.1 * before.values[i]), 1e-12);
    EXPECT_NEAR(m.values[i], 0.1 * gradient.values[i] / (2.0 + 1e-6), 1e-12);  // clipped to norm 1
  }
}

}  // namespace
}  // namespace headwater
