// What the cost model says that tensor ranks send each other in a step is what their communicators have sent,
// to the byte.

#include "headwater/backend/cpu_backend.h"
#include "headwater/plan/cost/run_costs.h"
#include "headwater/train/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>

namespace headwater {
namespace {

struct Case {
  const char* name;
  int ranks;
  bool lfa, sequence_parallel;
  const char* lfa_sharding = "channels";
  const char* recompute = "none";
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name << ", recompute " << c.recompute; }

// Two micro-batches of 2 x 32 tokens. Every sum can be cut into equal whole cache lines, as the communicator
// cuts it.
PlanRequest request_of(const Case& layout) {
  ModelConfig model;
  model.family = "yuan2";
  model.num_layers = 2;
  model.hidden_size = 16;
  model.num_attention_heads = 4;
  model.num_query_groups = 4;
  model.kv_channels = 4;
  model.ffn_hidden_size = 32;
  model.vocab_size = 61;
  model.make_vocab_size_divisible_by = 8;
  model.max_position_embeddings = 32;
  model.lfa = layout.lfa;

  PlanRequest request;
  request.layout.model = expand(model);
  request.layout.parallel.tensor_model_parallel_size = layout.ranks;
  request.layout.parallel.sequence_parallel = layout.sequence_parallel;
  request.layout.parallel.lfa_sharding = layout.lfa_sharding;
  request.layout.parallel.recompute.all = layout.recompute;
  request.layout.batch = {2, 32};
  request.layout.micro_batches = 2;
  request.layout.precision = {DType::f32, DType::f32};
  request.dtype = "fp32";
  request.cluster = equal_devices(layout.ranks);
  request.ranks = layout.ranks;
  return request;
}

// By the rank that sends most, in forward and backward of all micro-batches.
std::int64_t sent(const PlanRequest& request) {
  std::atomic<std::int64_t> most = 0;
  run_on_threads(request.ranks, [&](World& world) {
    const RankLayout layout(request.layout, world.rank(), world.size());
    Engine engine(world, layout, make_cpu_backend({}));
    barrier(engine.world_group());
    const std::int64_t before = world.sent_bytes();
    const std::vector<std::int32_t> tokens(64, 5), labels(64, 7);
    engine.execute(layout.schedule, HeadMode::train,
                   [&](int) { return make_batch(tokens, labels, 2, 32, DocumentOptions{}); });
    const std::int64_t mine = world.sent_bytes() - before;
    for (std::int64_t known = most; mine > known && !most.compare_exchange_weak(known, mine);) {
    }
  });
  return most;
}

class TensorBytes : public testing::TestWithParam<Case> {};

TEST_P(TensorBytes, PredictedAreSent) {
  const PlanRequest request = request_of(GetParam());
  const RankLayout layout(request.layout, 0, request.ranks);
  const double predicted = sent_beside_pipeline(request, layout, unit_costs(request, layout.grid)).tensor;
  EXPECT_GT(predicted, 0.0);
  EXPECT_EQ(static_cast<double>(sent(request)), predicted);
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const char* recompute : {"none", "full"}) {
    for (const int ranks : {2, 4}) {
      all.push_back({"without_a_filter", ranks, false, false, "channels", recompute});
      all.push_back({"without_a_filter_tokens_cut", ranks, false, true, "channels", recompute});
      all.push_back({"by_channels", ranks, true, false, "channels", recompute});
      all.push_back({"by_channels_tokens_cut", ranks, true, true, "channels", recompute});
      all.push_back({"by_tokens", ranks, true, true, "tokens", recompute});
    }
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Layouts, TensorBytes, testing::ValuesIn(cases()),
                         [](const testing::TestParamInfo<Case>& c) {
                           return std::string(c.param.name) + "_" + std::to_string(c.param.ranks) +
                                  "_recompute_" + c.param.recompute;
                         });

}  // namespace
}  // namespace headwater
