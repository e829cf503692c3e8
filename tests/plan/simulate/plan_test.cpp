#include "headwater/plan/simulate/plan.h"

#include "headwater/base/error.h"
#include "headwater/nn/flops.h"
#include "headwater/plan/simulate/plan_report.h"
#include "headwater/plan/simulate/timeline.h"
#include "src/plan/simulate/shortage.h"
#include "tests/support/models.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace headwater {
namespace {

Cluster two_nodes() {
  Cluster cluster;
  cluster.name = "two nodes";
  cluster.nodes = 2;
  cluster.devices_per_node = 4;
  cluster.device = {Device::Kind::cpu,
                    std::int64_t{64} << 20,
                    1e10,
                    {{"bf16", 1e9}, {"fp32", 1e9}},
                    {{"bf16", 0.5}, {"fp32", 0.5}}};
  cluster.intra_node = {1e9, 1e-6};
  cluster.inter_node = {1e8, 1e-5};
  return cluster;
}

// Eight micro-batches of 2 x 16 tokens, 4 layers on 4 stages, two replicas; on 8 ranks.
PlanRequest a_run(std::int64_t pipeline = 4, int ranks = 8) {
  PlanRequest request;
  request.layout.model = expand(test::small_model({.layers = 4}, 16));
  request.layout.parallel.pipeline_model_parallel_size = pipeline;
  request.layout.batch = {2, 16};
  request.layout.micro_batches = 8;
  request.layout.precision = {DType::bf16, DType::f32};
  request.cluster = two_nodes();
  request.ranks = ranks;
  return request;
}

TEST(Plan, PartsAddUpToTheStepOnEveryRank) {
  const Plan plan = predict(a_run());
  ASSERT_EQ(plan.ranks.size(), 4U);
  for (const PipelineRankPlan& rank : plan.ranks) {
    EXPECT_NEAR(rank.seconds.total(), plan.time.seconds, 1e-12);
    EXPECT_GE(rank.seconds.pipeline_wait, 0.0);
    EXPECT_GT(rank.seconds.optimizer, 0.0);
    EXPECT_GT(rank.seconds.data_communication, 0.0);
  }
  EXPECT_EQ(plan.data_parallel_size, 2);
  EXPECT_DOUBLE_EQ(plan.tokens, 8 * 32 * 2);
  const double model_flops = model_flops_per_token(plan.request.layout.model, 16);
  EXPECT_NEAR(plan.mfu, model_flops * plan.tokens / plan.time.seconds / 8e9, 1e-12);
  EXPECT_DOUBLE_EQ(plan.hfu, plan.mfu);
}

TEST(Plan, MemoryIsThatOfTheLayouts) {
  const PlanRequest request = a_run();
  const Plan plan = predict(request);
  for (int p = 0; p < 4; ++p) {
    const RankLayout layout(request.layout, 2 * p, 8);
    const PipelineRankPlan& rank = plan.ranks[static_cast<std::size_t>(p)];
    EXPECT_EQ(rank.memory_bytes, layout.bytes());
    ASSERT_EQ(rank.memory.size(), layout.segments.size());
    for (std::size_t i = 0; i < rank.memory.size(); ++i)
      EXPECT_EQ(rank.memory[i].bytes, layout.segments[i].bytes);
  }
}

// Ranks 2p and 2p + 1 hold stage p; nodes are ranks 0-3 and 4-7: only stages 1 and 2 lie apart.
TEST(Plan, RankOrderSaysWhichLinksCrossNodes) {
  const Plan plan = predict(a_run());
  int crossing = 0;
  for (const LinkLoad& link : link_loads(plan)) {
    EXPECT_EQ(link.between_nodes, std::min(link.from, link.to) == 1) << link.from << " to " << link.to;
    EXPECT_DOUBLE_EQ(link.bytes, 8.0 * 32 * 12 * 2);  // one message for each micro-batch
    crossing += link.between_nodes ? 1 : 0;
  }
  EXPECT_EQ(crossing, 2);
  EXPECT_DOUBLE_EQ(plan.ranks[0].sent.pipeline, 8.0 * 32 * 12 * 2);
  EXPECT_DOUBLE_EQ(plan.ranks[1].sent.pipeline, 2.0 * 8.0 * 32 * 12 * 2);
}

TEST(Plan, DataBytesAreThoseOfARing) {
  const PlanRequest request = a_run(1, 4);
  const Plan plan = predict(request);
  const RankLayout layout(request.layout, 0, 4);
  EXPECT_DOUBLE_EQ(plan.ranks[0].sent.data,
                   2.0 * 3.0 / 4.0 * 4.0 * static_cast<double>(layout.parameters.elements()));
  EXPECT_EQ(plan.ranks[0].sent.pipeline, 0.0);
}

TEST(Plan, NothingGetsFasterFromSlowerParts) {
  const PlanRequest request = a_run();
  const double seconds = predict(request).time.seconds;
  PlanRequest slower = request;
  slower.cluster.inter_node.bandwidth /= 10.0;
  EXPECT_GT(predict(slower).time.seconds, seconds);
  slower = request;
  slower.cluster.device.efficiency["bf16"] /= 2.0;
  EXPECT_GT(predict(slower).time.seconds, seconds);
  slower = request;
  slower.cluster.device.memory_bandwidth /= 2.0;
  EXPECT_GT(predict(slower).time.seconds, seconds);
  slower = request;
  slower.layout.micro_batches *= 2;
  EXPECT_GT(predict(slower).time.seconds, seconds);
  EXPECT_LT(predict(slower).time.bubble_fraction, predict(request).time.bubble_fraction);
}

TEST(Plan, RefusesMoreRanksThanTheClusterHas) { EXPECT_THROW(predict(a_run(4, 16)), UserError); }

TEST(Plan, SaysWhatIsShortAndWhatWouldHelp) {
  PlanRequest request = a_run();
  EXPECT_TRUE(predict(request).fits());
  EXPECT_TRUE(shortages(predict(request)).empty());
  const std::int64_t first = predict(request).ranks[0].memory_bytes,
                     second = predict(request).ranks[1].memory_bytes;
  request.cluster.device.memory_bytes = std::max(first, second) - 1024;
  const Plan plan = predict(request);
  EXPECT_FALSE(plan.fits());
  const std::vector<Shortage> missing = shortages(plan);
  ASSERT_FALSE(missing.empty());
  EXPECT_EQ(missing[0].needed - missing[0].available, 1024);
  EXPECT_EQ(missing[0].text.rfind("stage 0 needs ", 0), 0U) << missing[0].text;
  EXPECT_NE(missing[0].text.find(" short (workspace "), std::string::npos) << missing[0].text;
  const std::vector<std::string> help = remedies(plan);
  ASSERT_FALSE(help.empty());
  EXPECT_NE(help[0].find(", fits"), std::string::npos) << help[0];
  const std::string text = report(plan);
  EXPECT_NE(text.find("DOES NOT FIT"), std::string::npos);
  EXPECT_NE(text.find(help[0]), std::string::npos);
}

TEST(Plan, JsonHasTheKeysThatScriptsRelyOn) {
  const nlohmann::json json = to_json(predict(a_run()));
  for (const char* key : {"step_seconds", "tokens_per_second", "mfu", "hfu", "bubble_fraction"})
    EXPECT_TRUE(json.at(key).is_number()) << key;
  EXPECT_TRUE(json.at("fits").get<bool>());
  EXPECT_EQ(json.at("parallel").at("pipeline_model_parallel_size"), 4);
  ASSERT_EQ(json.at("stages").size(), 4U);
  EXPECT_EQ(json["stages"][3].at("stage"), 3);
  EXPECT_EQ(json["stages"][3].at("pipeline_rank"), 3);
  EXPECT_EQ(json["stages"][3].at("layers"), 1);
  EXPECT_EQ(json["stages"][3].at("recompute"), "none");
  ASSERT_EQ(json.at("memory").size(), 4U);
  std::int64_t sum = 0;
  for (const auto& item : json["memory"][0].items())
    if (item.key() != "total") sum += item.value().get<std::int64_t>();
  EXPECT_EQ(json["memory"][0].at("total"), sum);
  double seconds = 0.0;
  for (const char* key :
       {"compute", "recompute", "pipeline_wait", "tensor_communication", "data_communication", "optimizer"})
    seconds += json.at("seconds").at(key).get<double>();
  EXPECT_NEAR(seconds, json["step_seconds"].get<double>(), 1e-9);
  for (const char* key : {"pipeline", "tensor", "data"})
    EXPECT_TRUE(json.at("bytes_sent").at(key).is_number()) << key;
}

TEST(Plan, ItsTimelineOpensAsATraceAndAsAPicture) {
  const Plan plan = predict(a_run());
  const Timeline timeline = timeline_of(plan.time, plan.costs);
  ASSERT_EQ(timeline.ranks.size(), 4U);
  double last = 0.0;
  std::size_t spans = 0;
  for (const std::vector<Span>& rank : timeline.ranks) {
    double busy_until = 0.0;
    for (const Span& span : rank) {
      EXPECT_LE(span.begin, span.end);
      last = std::max(last, span.end);
      if (span.kind != SpanKind::forward && span.kind != SpanKind::backward) continue;
      EXPECT_GE(span.begin, busy_until);
      busy_until = span.end;
    }
    spans += rank.size();
  }
  EXPECT_NEAR(last, plan.time.seconds, 1e-12);

  const nlohmann::json trace = nlohmann::json::parse(chrome_trace({timeline, timeline}));
  std::size_t events = 0;
  double latest = 0.0;
  for (const nlohmann::json& event : trace.at("traceEvents")) {
    if (event.at("ph") != "X") continue;
    ++events;
    EXPECT_GE(event.at("dur").get<double>(), 0.0);
    latest = std::max(latest, event.at("ts").get<double>() + event.at("dur").get<double>());
  }
  EXPECT_EQ(events, 2 * spans);
  EXPECT_NEAR(latest, plan.time.seconds * 1e6, 0.01);

  const std::string picture = timeline_svg(timeline, "a < b");
  EXPECT_EQ(picture.rfind("<svg ", 0), 0U);
  EXPECT_NE(picture.find("a &lt; b"), std::string::npos);
  EXPECT_NE(picture.find(">rank 3<"), std::string::npos);
}

}  // namespace
}  // namespace headwater
