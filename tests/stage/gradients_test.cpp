// Every gradient of a whole small model: on the reference catalogue against central differences of its loss,
// then on the CPU backend, in fp32 and in bf16, against the reference catalogue.

#include "headwater/backend/cpu_backend.h"

#include "tests/reference/reference_backend.h"
#include "tests/stage/whole_model.h"
#include "tests/support/models.h"

#include <gtest/gtest.h>

#include <cmath>
#include <ostream>

namespace headwater {
namespace {

constexpr BatchShape kShape{2, 9};
constexpr std::int32_t kEod = 0;

struct Documents {
  const char* name;
  bool positions, attention, filter;
};

struct Case {
  const char* name;
  test::ModelOptions model;
  Documents documents;
  bool mask_eod = false;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

// Documents of one token, of several, and cut off at both ends of the samples.
Batch batch_of(const Case& c) {
  const std::vector<std::int32_t> tokens = {4, 9, 0, 0, 17, 3, 3, 0, 5, 0, 8, 12, 18, 0, 7, 1, 2, 6};
  std::vector<std::int32_t> labels(tokens.begin() + 1, tokens.end());
  labels.push_back(11);
  DocumentOptions options;
  options.eod = kEod;
  options.reset_position_ids = c.documents.positions;
  options.reset_attention_mask = c.documents.attention;
  options.reset_lfa = c.documents.filter;
  options.eod_mask_loss = c.mask_eod;
  return make_batch(tokens, labels, kShape.samples, kShape.sequence, options);
}

test::WholeModel model_of(const Case& c, Precision precision) {
  std::unique_ptr<Backend> backend;
  if (precision.compute == DType::f64)
    backend = std::make_unique<ReferenceBackend>();
  else
    backend = make_cpu_backend({});
  return {expand(test::small_model(c.model, kShape.sequence)), kShape, precision, std::move(backend)};
}

constexpr Precision kReference{DType::f64, DType::f64}, kSingle{DType::f32, DType::f32},
    kMixed{DType::bf16, DType::f32};

class ModelGradients : public testing::TestWithParam<Case> {};

// Three elements of each parameter, spread over it. The error of a central difference is h²/6 times the third
// derivative and, by rounding, 2^−53/h of the loss: both near 1e-10 here.
TEST_P(ModelGradients, AreThoseOfTheLoss) {
  constexpr double kStep = 3e-6;
  test::WholeModel model = model_of(GetParam(), kReference);
  model.set_batch(batch_of(GetParam()), 3);
  const auto gradients = model.gradients();
  ASSERT_EQ(gradients.size(), model.store().layout().places().size());
  for (const auto& [name, gradient] : gradients) {
    double* weight = model.store().weight(name).as<double>();
    const std::size_t size = gradient.size();
    double largest = 0.0;
    for (const std::size_t i : {std::size_t{0}, size / 2 + 1, size - 1}) {
      const double value = weight[i];
      weight[i] = value + kStep;
      const double above = model.forward();
      weight[i] = value - kStep;
      const double below = model.forward();
      weight[i] = value;
      EXPECT_NEAR(gradient[i], (above - below) / (2 * kStep), 1e-8) << name << " element " << i;
      largest = std::max(largest, std::abs(gradient[i]));
    }
    EXPECT_GT(largest, 1e-7) << name << ": nothing to compare";
  }
}

double norm_of(const std::vector<double>& x) {
  double squares = 0.0;
  for (const double value : x) squares += value * value;
  return std::sqrt(squares);
}

// ‖g − g*‖ ≤ relative · ‖g*‖ + 1e-7 · (norm of all gradients) for each parameter.
void expect_close(const Case& c, Precision precision, double loss_tolerance, double relative) {
  test::WholeModel reference = model_of(c, kReference), model = model_of(c, precision);
  const Batch batch = batch_of(c);
  reference.set_batch(batch, 3);
  model.set_batch(batch, 3);
  const double loss = reference.forward();
  EXPECT_NEAR(model.forward(), loss, loss_tolerance * loss);
  const auto expected = reference.gradients(), found = model.gradients();
  double squares = 0.0;
  for (const auto& [name, gradient] : expected) squares += std::pow(norm_of(gradient), 2);
  for (const auto& [name, gradient] : expected) {
    std::vector<double> difference = found.at(name);
    for (std::size_t i = 0; i < gradient.size(); ++i) difference[i] -= gradient[i];
    EXPECT_LE(norm_of(difference), relative * norm_of(gradient) + 1e-7 * std::sqrt(squares)) << name;
  }
}

// A gradient has passed about N = 70 roundings on its way: 14 tensors are stored in each layer's forward and
// as many in its backward, two layers, and some at the ends. One rounding to nearest changes a value by u at
// most, u/√3 on average; u is 2^−24 in fp32 and 2^−8 in bf16. Their effects add like a random walk, √70 ·
// u/√3 ≈ 5 u, and norms, softmax and the cancelling terms of small gradients magnify them: by up to 4 or 5 in
// this model.
constexpr double kRoundings = 5 * 5;

// Here the sums inside the products and norms run in the same precision, and add as much again, and more
// where K is long.
TEST_P(ModelGradients, InSinglePrecisionOnTheCpu) {
  expect_close(GetParam(), kSingle, 1e-6, 3 * kRoundings * 0x1p-24);
}

// The loss is a mean over the targets, in which the roundings of single tokens average out.
TEST_P(ModelGradients, InBf16OnTheCpu) { expect_close(GetParam(), kMixed, 5 * 0x1p-8, kRoundings * 0x1p-8); }

constexpr Documents kNone{"none", false, false, false}, kPositions{"positions", true, false, false},
    kAttention{"attention", true, true, false}, kDocuments{"documents", true, true, true};

INSTANTIATE_TEST_SUITE_P(
    Cases, ModelGradients,
    testing::Values(Case{"none", {}, kNone}, Case{"positions", {}, kPositions},
                    Case{"attention", {}, kAttention}, Case{"documents", {}, kDocuments},
                    Case{"dropout", {.dropout = 0.2}, kDocuments},
                    Case{"without_lfa", {.lfa = false}, kDocuments},
                    Case{"without_lfa_dropout", {.lfa = false, .dropout = 0.2}, kNone},
                    Case{"grouped", {.grouped = true}, kPositions},
                    Case{"grouped_without_lfa", {.lfa = false, .grouped = true, .dropout = 0.1}, kAttention},
                    Case{"untied", {.tied = false}, kDocuments},
                    Case{"layer_norm", {.dropout = 0.1, .norm = "layernorm"}, kDocuments},
                    Case{"layer_norm_without_lfa", {.lfa = false, .norm = "layernorm"}, kNone},
                    Case{"gelu", {.mlp = "gelu"}, kNone},
                    Case{"gelu_tanh_dropout", {.dropout = 0.1, .mlp = "gelu_tanh"}, kNone},
                    Case{"relu", {.lfa = false, .mlp = "relu"}, kNone},
                    Case{"masked_eod", {.dropout = 0.1}, kDocuments, true}),
    [](const testing::TestParamInfo<Case>& c) { return c.param.name; });

}  // namespace
}  // namespace headwater
