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

}  // namespace
}  // namespace headwater
