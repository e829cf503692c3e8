#include "headwater/run/freeze.h"

#include "headwater/base/error.h"
#include "headwater/layout/arena_layout.h"
#include "headwater/nn/flops.h"
#include "headwater/nn/model_units.h"
#include "headwater/nn/unit_record.h"
#include "headwater/run/rank_layout.h"

#include "tests/support/models.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

namespace headwater {
namespace {

using Patterns = std::vector<std::string>;

ModelSpec model_of(const test::ModelOptions& options, const Patterns& frozen = {}) {
  ModelSpec model = expand(test::small_model(options, 8));
  freeze(model, frozen);
  return model;
}

std::set<std::string> not_trained(const ModelSpec& model) {
  std::set<std::string> names;
  for (const ParameterSpec& spec : parameters(model))
    if (!spec.trained) names.insert(spec.name);
  return names;
}

std::string refusal(const Patterns& patterns) {
  try {
    model_of({}, patterns);
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

TEST(Freeze, ParametersByTheirNames) {
  EXPECT_TRUE(not_trained(model_of({})).empty());
  EXPECT_EQ(not_trained(model_of({}, {"embedding.*", "*.lfa.conv?.bias", "layers.1.mlp.down.weight"})),
            (std::set<std::string>{"embedding.weight", "layers.0.lfa.conv1.bias", "layers.0.lfa.conv2.bias",
                                   "layers.1.lfa.conv1.bias", "layers.1.lfa.conv2.bias",
                                   "layers.1.mlp.down.weight"}));
  const ModelSpec model = model_of({.layers = 12}, {"layers.1.*"});
  for (const ParameterSpec& spec : parameters(model)) EXPECT_EQ(spec.trained, spec.unit != 2) << spec.name;
  EXPECT_NE(model.layers[0], model.layers[1]);  // whoever goes over kinds of layers sees two
  EXPECT_EQ(model.layers[0], model.layers[2]);
}

TEST(Freeze, RefusesWhatCannotBeMeant) {
  EXPECT_EQ(refusal({"embedding.*", "layers.7.mlp.*"}),
            "training.freeze has \"layers.7.mlp.*\", which is the name of no parameter; the nearest is "
            "layers.0.mlp.gate.weight");
  EXPECT_EQ(refusal({"embeding.weight"}),
            "training.freeze has \"embeding.weight\", which is the name of no parameter; the nearest is "
            "embedding.weight");
  EXPECT_NE(refusal({"*"}).find("leaves nothing to train"), std::string::npos) << refusal({"*"});
  EXPECT_NE(refusal({"e*", "l*", "f*"}).find("leaves nothing to train"), std::string::npos);
  EXPECT_EQ(refusal({"*.attention.k.weight"}),
            "training.freeze has layers.0.attention.k.weight, but not layers.0.attention.q.weight; they are "
            "parts of one matrix: freeze both, or neither");
  EXPECT_EQ(refusal({"layers.1.mlp.gate.weight"}),
            "training.freeze has layers.1.mlp.gate.weight, but not layers.1.mlp.up.weight; they are parts of "
            "one matrix: freeze both, or neither");
}

UnitRecord record(const ModelSpec& model, int unit, const Sharding& sharding = {}) {
  return record_unit({.model = model,
                      .unit = unit,
                      .sharding = sharding,
                      .batch = {2, 8},
                      .precision = {DType::bf16, DType::f32}});
}

template <class Op>
std::int64_t count(const PassRecord& pass) {
  return std::ranges::count_if(pass.ops, [](const AnyOp& op) { return std::holds_alternative<Op>(op); });
}

// Whether any op of the pass adds to a gradient of a parameter.
bool adds_gradients(const PassRecord& pass) {
  return std::ranges::any_of(pass.ops, [](const AnyOp& op) {
    if (const auto* norm = std::get_if<op::NormBackward>(&op)) return norm->norm.d_gain || norm->norm.d_bias;
    if (const auto* taps = std::get_if<op::LfaTapsBackward>(&op)) return static_cast<bool>(taps->d_bias);
    return std::holds_alternative<op::LinearWeightGradient>(op) ||
           std::holds_alternative<op::EmbeddingBackward>(op);
  });
}

Sharding cut(LfaSharding lfa) {
  Sharding sharding;
  sharding.tensor = 2;
  sharding.sequence_parallel = true;
  sharding.lfa = lfa;
  return sharding;
}

TEST(Freeze, NoGradientOfAFrozenUnitIsTaken) {
  for (const bool tied : {true, false}) {
    const test::ModelOptions options{.tied = tied, .layers = 3, .norm = tied ? "rmsnorm" : "layernorm"};
    const ModelSpec all = model_of(options);
    const ModelSpec model =
        model_of(options, tied ? Patterns{"embedding.*", "final_norm.*", "layers.1.*"}
                               : Patterns{"embedding.*", "head.*", "final_norm.*", "layers.1.*"});
    for (const Sharding& sharding : {Sharding{}, cut(LfaSharding::channels), cut(LfaSharding::tokens)})
      for (const int unit : {model.embedding_unit(), 2, model.head_unit()}) {
        const UnitRecord with = record(all, unit, sharding), without = record(model, unit, sharding);
        EXPECT_TRUE(adds_gradients(with.forward) || adds_gradients(with.input_gradient));
        for (const PassRecord* pass : {&without.forward, &without.input_gradient, &without.weight_gradient})
          EXPECT_FALSE(adds_gradients(*pass)) << "unit " << unit;
        EXPECT_TRUE(without.weight_gradient.ops.empty());
        // The input's gradient is passed on all the same.
        EXPECT_EQ(count<op::LinearInputGradient>(without.input_gradient),
                  count<op::LinearInputGradient>(with.input_gradient));
        // Where tokens are cut nothing is gathered again for weights that need it no more.
        if (unit == 2 && sharding.tensor > 1) {
          EXPECT_LT(without.input_gradient.exchanges.size(), with.input_gradient.exchanges.size());
        }
        EXPECT_EQ(without.forward.exchanges.size(), with.forward.exchanges.size());
      }
    EXPECT_TRUE(adds_gradients(record(model, 1).weight_gradient));
  }
}

TEST(Freeze, OneWeightOfALayerLeavesOutItsProductOnly) {
  const UnitRecord with = record(model_of({}), 1),
                   without = record(model_of({}, {"*.mlp.down.weight", "*.lfa.conv1.*"}), 1);
  EXPECT_EQ(count<op::LinearWeightGradient>(without.weight_gradient),
            count<op::LinearWeightGradient>(with.weight_gradient) - 2);
  EXPECT_TRUE(adds_gradients(without.input_gradient));  // norms, and the other convolution's bias
}

TEST(Freeze, TheGainOrTheBiasOfANormAlone) {
  const auto gradients = [](const Patterns& frozen) {
    std::vector<std::pair<bool, bool>> all;  // of gain and bias
    for (const AnyOp& op : record(model_of({.norm = "layernorm"}, frozen), 1).input_gradient.ops)
      if (const auto* norm = std::get_if<op::NormBackward>(&op))
        all.emplace_back(norm->norm.d_gain, norm->norm.d_bias);
    return all;
  };
  // In the order of backward: the MLP's, the filter's, attention's.
  using Gradients = std::vector<std::pair<bool, bool>>;
  EXPECT_EQ(gradients({}), (Gradients{{true, true}, {true, true}, {true, true}}));
  EXPECT_EQ(gradients({"*.mlp_norm.bias", "*.attention_norm.weight"}),
            (Gradients{{true, false}, {true, true}, {false, true}}));
}

// A schedule that takes the two gradients apart keeps for the second what its products read.
TEST(Freeze, KeepsNoGradientOfABranchWhoseProductIsNotTrained) {
  const auto kept = [](double dropout, const Patterns& frozen) {
    std::set<std::string> names;
    const ModelSpec model = model_of({.dropout = dropout}, frozen);
    for (const ActivationSpec& spec : describe({.model = model, .unit = 1, .batch = {2, 8}}).tensors())
      if (spec.made == Pass::backward && spec.kept != Kept::scratch) names.insert(spec.name);
    return names;
  };
  const auto names_without = [](std::set<std::string> names, const std::set<std::string>& some) {
    for (const std::string& name : some) EXPECT_EQ(names.erase(name), 1U) << name;
    return names;
  };
  EXPECT_EQ(kept(0.0, {"*.mlp.down.weight"}), names_without(kept(0.0, {}), {"d_out"}));
  EXPECT_EQ(kept(0.0, {"*.attention.o.weight"}), names_without(kept(0.0, {}), {"d_middle"}));
  EXPECT_EQ(kept(0.1, {"*.mlp.down.weight"}), names_without(kept(0.1, {}), {"mlp.d_branch"}));
  EXPECT_EQ(kept(0.1, {"*.attention.o.weight"}), names_without(kept(0.1, {}), {"attention.d_branch"}));
  EXPECT_TRUE(kept(0.1, {"layers.0.*"}).empty());
}

// Bytes of a rank's segments, by name.
std::map<std::string, std::int64_t> segments(const Patterns& frozen, Precision precision) {
  RankLayoutRequest request;
  request.model = model_of({.layers = 4}, frozen);
  request.batch = {1, 8};
  request.precision = precision;
  std::map<std::string, std::int64_t> bytes;
  for (const SegmentSize& segment : RankLayout(request, 0, 1).segments) bytes[segment.name] = segment.bytes;
  return bytes;
}

TEST(Freeze, TakesNoMemoryButForTheWeight) {
  const Precision mixed{DType::bf16, DType::f32};
  const Patterns frozen = {"embedding.*", "layers.0.*", "layers.1.*", "layers.2.*"};
  const auto all = segments({}, mixed), less = segments(frozen, mixed);
  const ModelSpec model = model_of({.layers = 4}, frozen);
  const double part =
      static_cast<double>(trained_parameter_count(model)) / static_cast<double>(parameter_count(model));
  ASSERT_LT(part, 0.3);
  EXPECT_NEAR(static_cast<double>(less.at("weights")), static_cast<double>(all.at("weights")), 4096);
  for (const char* name : {"master", "gradients", "optimizer"})
    EXPECT_NEAR(static_cast<double>(less.at(name)), part * static_cast<double>(all.at(name)), 4096) << name;
  EXPECT_LT(less.at("activations"), all.at("activations"));  // what only weight gradients read is not kept
}

TEST(Freeze, LeavesOutTheWeightsShareOfTheFlops) {
  const ModelSpec all = model_of({.layers = 2}), model = model_of({.layers = 2}, {"layers.0.*"});
  const double layer = forward_flops_per_token(all, 1, 8).linear;
  EXPECT_DOUBLE_EQ(model_flops_per_token(model, 8), model_flops_per_token(all, 8) - layer);
}

}  // namespace
}  // namespace headwater
