// A backward taken apart, or after recomputation, gives the bits of a whole one that found everything kept,
// on no more slots than each lifetime needs: what is dead is overwritten by the next micro-batch before the
// weight gradients are taken.

#include "headwater/backend/cpu_backend.h"

#include "tests/stage/whole_model.h"
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

// Of the first layers.
struct Recomputed {
  Recompute how = Recompute::none;
  int layers = 0;
};
constexpr Recomputed kNothing{}, kSelective{Recompute::selective, 3}, kFull{Recompute::full, 3},
    kFirst{Recompute::full, 1};

test::WholeModel model_of(const test::ModelOptions& options, DType compute, const SlotCounts& slots,
                          const Recomputed& recomputed = {}) {
  return {expand(test::small_model(options, kShape.sequence)),
          kShape,
          {compute, DType::f32},
          make_cpu_backend({}),
          slots,
          recomputed.how,
          recomputed.layers};
}

// F B F B.
Gradients whole(const test::ModelOptions& options, DType compute, const Recomputed& recomputed) {
  test::WholeModel model = model_of(options, compute, {}, recomputed);
  for (const std::int32_t m : {0, 1}) {
    model.set_batch(batch_of(m), static_cast<std::uint64_t>(m));
    model.forward();
    model.stage().backward({}, {}, {}, {});
  }
  return model.read_gradients();
}

// F I F I W W: one slot, two of either other kind.
Gradients apart(const test::ModelOptions& options, DType compute, const Recomputed& recomputed) {
  test::WholeModel model = model_of(options, compute, {1, 2, 2, false}, recomputed);
  for (const int m : {0, 1}) {
    model.set_batch(batch_of(m), static_cast<std::uint64_t>(m));
    model.forward({0, m});
    model.stage().backward({0, m, m}, {}, {}, {});
  }
  for (const int m : {0, 1}) model.stage().weight_gradient(m);
  return model.read_gradients();
}

struct Case {
  const char* name;
  test::ModelOptions model;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

void expect_same(const Gradients& found, const Gradients& expected, const char* what) {
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [name, gradient] : expected) EXPECT_EQ(found.at(name), gradient) << name << ", " << what;
}

class Lifetimes : public testing::TestWithParam<Case> {};

TEST_P(Lifetimes, GivesTheSameBits) {
  for (const DType compute : {DType::f32, DType::bf16}) {
    const test::ModelOptions& model = GetParam().model;
    const Gradients expected = whole(model, compute, kNothing);
    expect_same(apart(model, compute, kNothing), expected, "nothing again");
    for (const Recomputed& recomputed : {kSelective, kFull, kFirst}) {
      expect_same(whole(model, compute, recomputed), expected, "whole");
      expect_same(apart(model, compute, recomputed), expected, "apart");
    }
  }
}

std::int64_t reserved(const test::WholeModel& model, std::string_view name) {
  for (const Arena::Segment& segment : model.arena().segments())
    if (segment.name == name) return segment.reserved;
  return 0;
}

TEST_P(Lifetimes, KeepsLessTheMoreIsRecomputed) {
  const auto activations = [&](const Recomputed& recomputed, const SlotCounts& slots) {
    const test::WholeModel model = model_of(GetParam().model, DType::bf16, slots, recomputed);
    for (const Arena::Segment& segment : model.arena().segments())
      EXPECT_EQ(segment.taken, segment.reserved) << segment.name;
    return reserved(model, "activations");
  };
  for (const SlotCounts& slots :
       {SlotCounts{}, SlotCounts{4, 4}, SlotCounts{3, 4, 2, false}, SlotCounts{3, 4, 2, true}}) {
    const std::int64_t none = activations(kNothing, slots), selective = activations(kSelective, slots),
                       first = activations(kFirst, slots), full = activations(kFull, slots);
    EXPECT_LT(full, selective);
    EXPECT_LT(selective, none);
    EXPECT_LT(full, first);
    EXPECT_LT(first, none);
  }
}

// The products of the weights wait; what has its gradient at once does not.
TEST_P(Lifetimes, LeavesTheWeightsToTheSecondPart) {
  test::WholeModel model = model_of(GetParam().model, DType::f32, {1, 1, 1, false});
  model.set_batch(batch_of(0), 0);
  model.forward();
  model.stage().backward({0, 0, 0}, {}, {}, {});
  const auto is_zero = [](const std::vector<double>& values) {
    return std::all_of(values.begin(), values.end(), [](double value) { return value == 0.0; });
  };
  for (const auto& [name, gradient] : model.read_gradients()) {
    const bool at_once = name == "embedding.weight" || name == "head.weight" ||
                         name.ends_with("norm.weight") || name.ends_with("bias");
    EXPECT_EQ(is_zero(gradient), !at_once) << name;
  }
  model.stage().weight_gradient(0);
  for (const auto& [name, gradient] : model.read_gradients()) EXPECT_FALSE(is_zero(gradient)) << name;
}

INSTANTIATE_TEST_SUITE_P(Models, Lifetimes,
                         testing::Values(Case{"plain", {}}, Case{"dropout", {.dropout = 0.2}},
                                         Case{"without_lfa", {.lfa = false, .tied = false, .grouped = true}},
                                         Case{"without_lfa_dropout", {.lfa = false, .dropout = 0.1}},
                                         Case{"layer_norm", {.norm = "layernorm"}},
                                         Case{"gelu", {.mlp = "gelu"}}, Case{"three_layers", {.layers = 3}}),
                         [](const testing::TestParamInfo<Case>& c) { return c.param.name; });

}  // namespace
}  // namespace headwater
