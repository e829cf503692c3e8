#include "headwater/nn/model_units.h"

#include "headwater/config/load_config.h"
#include "headwater/config/presets.h"

#include "tests/support/models.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

namespace headwater {
namespace {

std::int64_t count_of(const char* name) { return parameter_count(expand(resolved(preset(name), 4096))); }

std::map<std::string, ParameterSpec> by_name(const test::ModelOptions& options) {
  std::map<std::string, ParameterSpec> specs;
  for (const ParameterSpec& spec : parameters(expand(test::small_model(options, 8))))
    EXPECT_TRUE(specs.emplace(spec.name, spec).second) << spec.name << " twice";
  return specs;
}

TEST(Parameters, ThePublishedModelsToTheLastWeight) {
  EXPECT_EQ(count_of("yuan2-2.1b"), 2'088'724'480);
  EXPECT_EQ(count_of("yuan2-51b"), 51'842'105'344);
  EXPECT_EQ(count_of("yuan2-102b"), 102'577'954'816);
}

// H 12, P = 24, F 20, V 19, two layers.
constexpr std::int64_t kSquareAttention = 4 * 12 * 24, kGroupedAttention = 2 * 12 * 24 + 2 * 12 * 8;
constexpr std::int64_t kMlp = 3 * 12 * 20, kNorms = 2 * 12;
constexpr std::int64_t kFilter = 2 * 6 * 12 + 6 + 2 * 12 * 6 + 12 + 12;
constexpr std::int64_t kEnds = 19 * 12 + 12;

TEST(Parameters, CountsByHand) {
  const auto count = [](const test::ModelOptions& options) {
    return parameter_count(expand(test::small_model(options, 8)));
  };
  EXPECT_EQ(count({}), kEnds + 2 * (kSquareAttention + kFilter + kMlp + kNorms));
  EXPECT_EQ(count({.lfa = false}), kEnds + 2 * (kSquareAttention + kMlp + kNorms));
  EXPECT_EQ(count({.grouped = true}), kEnds + 2 * (kGroupedAttention + kFilter + kMlp + kNorms));
  EXPECT_EQ(count({.lfa = false, .tied = false, .grouped = true}),
            kEnds + 19 * 12 + 2 * (kGroupedAttention + kMlp + kNorms));
  EXPECT_EQ(count({.mlp = "gelu"}), kEnds + 2 * (kSquareAttention + kFilter + 2 * 12 * 20 + kNorms));
  EXPECT_EQ(count({.layers = 5}), kEnds + 5 * (kSquareAttention + kFilter + kMlp + kNorms));
  // A bias of 12 for each of the three norms of a layer, and for the last.
  EXPECT_EQ(count({.norm = "layernorm"}), count({}) + 2 * 3 * 12 + 12);
}

TEST(Parameters, Shapes) {
  const auto specs = by_name({.tied = false, .grouped = true});
  EXPECT_EQ(specs.at("embedding.weight").shape, (Shape{19, 12}));
  EXPECT_EQ(specs.at("head.weight").shape, (Shape{19, 12}));
  EXPECT_EQ(specs.at("layers.1.lfa.conv1.weight").shape, (Shape{2, 6, 12}));
  EXPECT_EQ(specs.at("layers.1.lfa.conv2.weight").shape, (Shape{2, 12, 6}));
  EXPECT_EQ(specs.at("layers.0.attention.q.weight").shape, (Shape{24, 12}));
  EXPECT_EQ(specs.at("layers.0.attention.k.weight").shape, (Shape{8, 12}));
  EXPECT_EQ(specs.at("layers.0.attention.v.weight").shape, (Shape{8, 12}));
  EXPECT_EQ(specs.at("layers.0.attention.o.weight").shape, (Shape{12, 24}));
  EXPECT_EQ(specs.at("layers.0.mlp.down.weight").shape, (Shape{12, 20}));
  EXPECT_FALSE(by_name({}).contains("head.weight"));
  EXPECT_FALSE(by_name({.lfa = false}).contains("layers.0.lfa.norm.weight"));
}

TEST(Parameters, DecayIsForTwoOrMoreDimensions) {
  for (const auto& [name, spec] : by_name({.tied = false})) {
    const bool vector = name.ends_with("norm.weight") || name.ends_with("bias");
    EXPECT_EQ(spec.decays, !vector) << name;
    EXPECT_TRUE(spec.trained) << name;
  }
}

TEST(Parameters, InitialisationOfYuan2) {
  for (const auto& [name, spec] : by_name({.tied = false})) {
    Init expected{Init::Kind::normal, 0.02};
    if (name.ends_with("norm.weight")) expected = {Init::Kind::ones, 0.0};
    if (name.find("conv1") != std::string::npos) expected = {Init::Kind::uniform, 1.0 / std::sqrt(2.0 * 12)};
    if (name.find("conv2") != std::string::npos) expected = {Init::Kind::uniform, 1.0 / std::sqrt(2.0 * 6)};
    if (name.ends_with("attention.o.weight") || name.ends_with("mlp.down.weight"))
      expected.scale = 0.02 / std::sqrt(2.0 * 2);
    EXPECT_EQ(spec.init.kind, expected.kind) << name;
    if (expected.kind == Init::Kind::ones) continue;
    EXPECT_DOUBLE_EQ(spec.init.scale, expected.scale) << name;
  }
}

TEST(Parameters, EveryUnitsAreHeldOnce) {
  const ModelSpec model = expand(test::small_model({.layers = 3}, 8));
  std::int64_t count = 0;
  for (int unit = 0; unit < model.units(); ++unit)
    for (const ParameterSpec& spec : parameters_of(model, unit, unit + 1)) {
      if (spec.unit == unit) {
        count += spec.elements();
      } else {
        EXPECT_TRUE(spec.tied_to_head && unit == model.head_unit()) << spec.name << " with unit " << unit;
      }
    }
  EXPECT_EQ(count, parameter_count(model));
}

}  // namespace
}  // namespace headwater
