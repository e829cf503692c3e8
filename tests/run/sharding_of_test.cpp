#include "headwater/run/sharding_of.h"

#include "headwater/base/error.h"
#include "tests/support/models.h"

#include <gtest/gtest.h>

namespace headwater {
namespace {

ModelSpec small(const test::ModelOptions& options = {}) { return expand(test::small_model(options, 8)); }

// Returns what is said to a person who asks for that many tensor ranks; empty where they can share the model.
std::string refusal(const ModelSpec& model, std::int64_t tensor) {
  ParallelConfig parallel;
  parallel.tensor_model_parallel_size = tensor;
  parallel.lfa_sharding = "channels";
  try {
    static_cast<void>(sharding_of(model, parallel, {1, 8}));
    return {};
  } catch (const UserError& error) {
    return error.what();
  }
}

// Four ranks share out neither the 6 heads nor the filter's 6 channels.
TEST(ShardingOf, NamesTheHeadsBeforeTheFilter) {
  EXPECT_EQ(refusal(small(), 4),
            "parallel.tensor_model_parallel_size is 4, which cannot share out model.num_attention_heads 6; 1 "
            "or 2 would do");
  EXPECT_EQ(refusal(small(), 2), "");
}

TEST(ShardingOf, NamesTheFilterWhereHeadsFit) {
  ModelConfig model = test::small_model({}, 8);
  model.hidden_size = 14;
  EXPECT_EQ(refusal(expand(model), 2),
            "parallel.tensor_model_parallel_size is 2, which cannot share out the filter's channels "
            "(model.hidden_size / 2) 7; 1 would do");
}

// Which form sends fewer bytes is found from a model that is cut, so what cannot be cut is refused before.
TEST(ShardingOf, RefusesBeforeItChoosesAForm) {
  RankLayoutRequest request;
  request.model = small();
  request.batch = {1, 9};
  request.precision = {DType::f32, DType::f32};
  request.parallel.sequence_parallel = true;
  const auto refused = [&](std::int64_t tensor) -> std::string {
    request.parallel.tensor_model_parallel_size = tensor;
    try {
      return "chosen: " + resolved_lfa_sharding(request);
    } catch (const UserError& error) {
      return error.what();
    }
  };
  EXPECT_EQ(refused(4).find("parallel.tensor_model_parallel_size is 4, which cannot share out"), 0U);
  EXPECT_EQ(refused(2).find("parallel.sequence_parallel: 2 tensor ranks cannot take equal parts"), 0U);
  request.batch = {1, 8};
  EXPECT_EQ(refused(2).find("chosen: "), 0U);
}

// The last layer alone has a filter.
TEST(ShardingOf, LooksAtAllLayers) {
  const ModelSpec with = small(), without = small({.lfa = false});
  EXPECT_TRUE(has_lfa(with));
  EXPECT_FALSE(has_lfa(without));
  ModelSpec mixed = without;
  mixed.layers.back() = with.layers.back();
  EXPECT_TRUE(has_lfa(mixed));

  // 6 query heads and 3 of keys in the first layer; in the last 4 and 2.
  mixed = without;
  mixed.layers.front().kv_heads = 3;
  mixed.layers.back().heads = 4;
  mixed.layers.back().kv_heads = 2;
  EXPECT_FALSE(can_share(mixed, 3));
  EXPECT_FALSE(can_share(mixed, 4));
  EXPECT_TRUE(can_share(mixed, 1));
}

}  // namespace
}  // namespace headwater
