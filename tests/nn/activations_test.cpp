#include "headwater/nn/head.h"
#include "headwater/nn/model_units.h"

#include "headwater/config/load_config.h"
#include "headwater/config/presets.h"

#include "tests/support/models.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace headwater {
namespace {

constexpr Precision kMixed{DType::bf16, DType::f32};

std::vector<ActivationSpec> of_unit(const ModelSpec& model, int unit, BatchShape batch) {
  return describe({.model = model, .unit = unit, .batch = batch, .precision = kMixed}).tensors();
}
std::vector<ActivationSpec> of_layer(const ModelSpec& model, BatchShape batch) {
  return of_unit(model, 1, batch);
}
std::vector<ActivationSpec> of_head(const ModelSpec& model, BatchShape batch) {
  return of_unit(model, model.head_unit(), batch);
}

const ActivationSpec* find(const std::vector<ActivationSpec>& list, const std::string& name) {
  const auto it =
      std::find_if(list.begin(), list.end(), [&](const ActivationSpec& spec) { return spec.name == name; });
  return it == list.end() ? nullptr : &*it;
}

std::int64_t bytes_kept_of_forward(const std::vector<ActivationSpec>& list,
                                   Recompute recompute = Recompute::none) {
  std::int64_t bytes = 0;
  for (const ActivationSpec& spec : list)
    if (spec.made == Pass::forward && spec.kept != Kept::scratch && !drops(recompute, spec.dropped))
      bytes += spec.shape.elements() * static_cast<std::int64_t>(size_of(spec.dtype));
  return bytes;
}

// In [T, H] tensors of bf16: input, its norm, conv1 (a half), the filter's sum and its norm, q, k, v,
// attention's output, the middle of the layer and its norm, gate and up (4 each), their product (4): 22.5, so
// 45 bytes per token and H. In fp32 beside that: three reciprocal roots and a log-sum-exp per head.
TEST(Activations, AYuanLayerKeeps45BytesPerTokenAndH) {
  for (const char* name : {"yuan2-2.1b", "yuan2-51b"}) {
    const ModelSpec model = expand(resolved(preset(name), 4096));
    const BatchShape batch{2, 64};
    const std::int64_t kept = bytes_kept_of_forward(of_layer(model, batch));
    EXPECT_EQ(kept, batch.tokens() * (45 * model.hidden + 4 * (3 + model.layers[0].heads)));
  }
}

// Without the filter: no conv1, no sum, no norm of it.
TEST(Activations, WithoutTheFilter40Bytes) {
  ModelConfig config = resolved(preset("yuan2-2.1b"), 4096);
  config.lfa = false;
  const ModelSpec model = expand(config);
  EXPECT_EQ(bytes_kept_of_forward(of_layer(model, {1, 64})),
            64 * (40 * model.hidden + 4 * (2 + model.layers[0].heads)));
}

// Selective: input, conv1, the filter's sum, q, k, v, the middle of the layer, gate and up. Full: the input.
TEST(Activations, RecomputationKeeps29BytesOr2) {
  const ModelSpec model = expand(resolved(preset("yuan2-51b"), 4096));
  const BatchShape batch{1, 64};
  const std::vector<ActivationSpec> list = of_layer(model, batch);
  EXPECT_EQ(bytes_kept_of_forward(list, Recompute::selective), batch.tokens() * 29 * model.hidden);
  EXPECT_EQ(bytes_kept_of_forward(list, Recompute::full), batch.tokens() * 2 * model.hidden);
  for (const ActivationSpec& spec : of_head(model, batch)) EXPECT_EQ(spec.dropped, Dropped::never);
}

TEST(Activations, NamesAreUniqueAndSizesWhole) {
  for (const bool lfa : {true, false}) {
    const ModelSpec model = expand(test::small_model({.lfa = lfa, .grouped = true, .dropout = 0.1}, 8));
    for (const auto& list : {of_layer(model, {3, 8}), of_head(model, {3, 8})}) {
      std::set<std::string> names;
      for (const ActivationSpec& spec : list) {
        EXPECT_TRUE(names.insert(spec.name).second) << spec.name << " twice";
        EXPECT_GT(spec.shape.elements(), 0) << spec.name;
      }
    }
  }
}

TEST(Activations, DropoutKeepsItsBranchesGradients) {
  const auto with = of_layer(expand(test::small_model({.dropout = 0.1}, 8)), {1, 8});
  const auto without = of_layer(expand(test::small_model({}, 8)), {1, 8});
  for (const char* name : {"mlp.d_branch", "attention.d_branch"}) {
    EXPECT_NE(find(with, name), nullptr) << name;
    EXPECT_EQ(find(without, name), nullptr) << name;
  }
}

TEST(Activations, GroupedHeadsKeepFewerKeys) {
  const auto list = of_layer(expand(test::small_model({.grouped = true}, 8)), {1, 8});
  ASSERT_NE(find(list, "attention.qk"), nullptr);
  EXPECT_EQ(find(list, "attention.qk")->shape, (Shape{8, 24 + 8}));
  EXPECT_EQ(find(list, "attention.v")->shape, (Shape{8, 8}));
  EXPECT_EQ(find(list, "attention.lse")->dtype, DType::f32);
}

ModelSpec of_words(std::int64_t vocabulary) {
  ModelSpec model;
  model.hidden = 8;
  model.vocabulary_multiple = 128;
  model.vocabulary = vocabulary;
  return model;
}

constexpr Precision kF32{DType::f32, DType::f32};

// Logits of a block near 8 MiB, at least some tokens, at most all.
TEST(HeadBlock, FollowsTheVocabularyOnACpu) {
  const auto block = [](const ModelSpec& model, BatchShape batch, Precision precision) {
    return head_block(model, {}, batch, precision, Device::Kind::cpu);
  };
  const ModelSpec large = of_words(1'000'000);
  const std::int64_t least = block(large, {4, 1024}, kMixed);
  EXPECT_GE(least, 64);  // fewer would make matrix products of matrix-vector products
  EXPECT_LE(least, 512);
  EXPECT_EQ(block(large, {4, 1024}, kF32), least);
  EXPECT_EQ(block(large, {1, 32}, kMixed), 32);
  const ModelSpec small = of_words(8000);  // 8064
  EXPECT_EQ(block(small, {4, 1024}, kF32), (8 << 20) / (8064 * 4));
  EXPECT_EQ(block(small, {4, 1024}, kMixed), (8 << 20) / (8064 * 2));
  EXPECT_EQ(block(small, {1, 100}, kMixed), 100);
}

// Thousands of tokens, in blocks of one size; logits are bounded where the vocabulary, or their dtype, is
// large.
TEST(HeadBlock, IsOfThousandsOfTokensOnAGpu) {
  const auto block = [](std::int64_t vocabulary, BatchShape batch, Precision precision,
                        const Sharding& sharding = {}) {
    return head_block(of_words(vocabulary), sharding, batch, precision, Device::Kind::cuda);
  };
  constexpr std::int64_t kYuan = 135040;
  EXPECT_EQ(block(kYuan, {2, 8192}, kMixed), 4096);
  EXPECT_EQ(block(kYuan, {1, 4096}, kMixed), 4096);
  EXPECT_EQ(block(kYuan, {1, 1000}, kMixed), 1000);
  EXPECT_EQ(block(kYuan, {5, 1024}, kMixed), 2560);  // two halves, and no rest of 1024
  EXPECT_EQ(block(kYuan, {3, 3000}, kMixed), 3072);  // whole tiles: 3072, 3072, 2856
  EXPECT_EQ(block(kYuan, {1, 8192}, kF32), 2816);    // three
  EXPECT_EQ(block(1 << 20, {1, 8192}, kMixed), 1024);
  EXPECT_EQ(block(std::int64_t{1} << 31, {1, 8192}, kMixed), 1);
  Sharding eight;
  eight.tensor = 8;
  EXPECT_EQ(block(1 << 20, {1, 8192}, kMixed, eight), 4096);
  for (std::int64_t tokens = 1; tokens < 20000; tokens += 37) {
    const std::int64_t each = block(kYuan, {1, tokens}, kMixed);
    ASSERT_LE(each, std::min<std::int64_t>(tokens, 4096));
    ASSERT_EQ((tokens + each - 1) / each, (tokens + 4095) / 4096) << tokens;  // as few blocks as can be
  }
}

}  // namespace
}  // namespace headwater
