// A backward taken apart gives the bits of a whole one, on no more slots than each lifetime needs: what is dead is
// overwritten by the next micro-batch before the weight gradients are taken.

#include "headwater/backend/cpu_backend.h"

#include "tests/nn/whole_model.h"
#include "tests/support/models.h"

#include <gtest/gtest.h>

#include <ostream>

namespace headwater {
namespace {

constexpr BatchShape kShape{2, 9};

Batch batch_of(std::int32_t first) {
  std::vector<std::int32_t> tokens, labels;
  for (std::int32_t i = 0; i < 18; ++i) tokens.push_back((first + 7 * i) % 19);
  for (std::int32_t i = 0; i < 18; ++i) labels.push_back((first + 5 * i + 3) % 19);
  DocumentOptions options;
  options.eod = 0;
  options.reset_position_ids = options.reset_attention_mask = options.reset_lfa = true;
  return make_batch(tokens, labels, kShape.samples, kShape.sequence, options);
}

using Gradients = std::map<std::string, std::vector<double>>;

test::WholeModel model_of(const test::ModelOptions& options, DType compute, const SlotCounts& slots) {
  return {expand(test::small_model(options, kShape.sequence)), kShape, {compute, DType::f32}, make_cpu_backend({}), slots};
}

Gradients whole(const test::ModelOptions& options, DType compute) {
  test::WholeModel model = model_of(options, compute, {});
  for (const std::int32_t m : {0, 1}) {
    model.set_batch(batch_of(m), static_cast<std::uint64_t>(m));
    model.forward();
    model.stage().backward({}, {}, {});
  }
  return model.read_gradients();
}

// F I F I W W: one slot, two of either other kind.
Gradients apart(const test::ModelOptions& options, DType compute) {
  test::WholeModel model = model_of(options, compute, {1, 2, 2, false});
  for (const int m : {0, 1}) {
    model.set_batch(batch_of(m), static_cast<std::uint64_t>(m));
    model.forward({0, m});
    model.stage().backward({0, m, m}, {}, {});
  }
  for (const int m : {0, 1}) model.stage().weight_gradient(m);
  return model.read_gradients();
}

struct Case {
  const char* name;
  test::ModelOptions model;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class SplitBackward : public testing::TestWithParam<Case> {};

TEST_P(SplitBackward, GivesTheSameBits) {
  for (const DType compute : {DType::f32, DType::bf16}) {
    const Gradients expected = whole(GetParam().model, compute), found = apart(GetParam().model, compute);
    ASSERT_FALSE(expected.empty());
    for (const auto& [name, gradient] : expected) EXPECT_EQ(found.at(name), gradient) << name << ", " << name_of(compute);
  }
}

// The products of the weights wait; what has its gradient at once does not.
TEST_P(SplitBackward, LeavesTheWeightsToTheSecondPart) {
  test::WholeModel model = model_of(GetParam().model, DType::f32, {1, 1, 1, false});
  model.set_batch(batch_of(0), 0);
  model.forward();
  model.stage().backward({0, 0, 0}, {}, {});
  const auto is_zero = [](const std::vector<double>& values) {
    return std::all_of(values.begin(), values.end(), [](double value) { return value == 0.0; });
  };
  for (const auto& [name, gradient] : model.read_gradients()) {
    const bool at_once = name == "embedding.weight" || name == "head.weight" || name.ends_with("norm.weight") ||
                         name.ends_with("bias");
    EXPECT_EQ(is_zero(gradient), !at_once) << name;
  }
  model.stage().weight_gradient(0);
  for (const auto& [name, gradient] : model.read_gradients()) EXPECT_FALSE(is_zero(gradient)) << name;
}

INSTANTIATE_TEST_SUITE_P(Models, SplitBackward,
                         testing::Values(Case{"plain", {}}, Case{"dropout", {.dropout = 0.2}},
                                         Case{"without_lfa", {.lfa = false, .tied = false, .grouped = true}},
                                         Case{"without_lfa_dropout", {.lfa = false, .dropout = 0.1}},
                                         Case{"three_layers", {.layers = 3}}),
                         [](const testing::TestParamInfo<Case>& c) { return c.param.name; });

}  // namespace
}  // namespace headwater
