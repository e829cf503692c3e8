// The letters of the paper's formulas as they come from a run and a cluster.

#include "headwater/plan/paper/paper_plan.h"

#include "headwater/base/error.h"
#include "headwater/config/load_config.h"
#include "headwater/run/layout_request.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace headwater {
namespace {

// Yuan 2.0's 102 billion parameters as published, on nodes of 8 A100 with two ports.
PlanRequest a_run(int ranks, double p2p_peak) {
  RunConfig run = load_config(std::string(HEADWATER_SOURCE_DIR) + "/configs/yuan2-102b.json", {}).run;
  run.model = resolved(run.model, run.training.seq_length);
  PlanRequest request;
  request.ranks = ranks;
  request.cluster.nodes = ranks / 8;
  request.cluster.devices_per_node = 8;
  request.cluster.network_ports = 2;
  request.cluster.device.peak_flops = {{"bf16", 312e12}};
  request.cluster.device.efficiency = {{"bf16", 0.55}};
  request.cluster.intra_node.bandwidth = 0.85 * 0.5 * p2p_peak;
  request.cluster.inter_node.bandwidth = 2 * 195e9 / 8 / 8;
  request.layout = training_request(run, {"bf16", 1}, ranks);
  return request;
}

TEST(PaperPlan, TakesItsLettersFromTheRun) {
  const PaperRun run = paper_run(a_run(96, 100e9));
  EXPECT_EQ(run.layers, 84);
  EXPECT_EQ(run.hidden, 8192);
  EXPECT_EQ(run.sequence, 4096);
  EXPECT_EQ(run.vocabulary, 135040);
  EXPECT_TRUE(run.lfa);
  EXPECT_EQ(run.micro_batches, 384);
  EXPECT_EQ(run.micro_batch, 1);
  EXPECT_EQ(run.pipeline, 32);
  EXPECT_EQ(run.tensor, 1);
  EXPECT_EQ(run.data, 3);
  EXPECT_DOUBLE_EQ(run.flops, 0.55 * 312e12);
  EXPECT_DOUBLE_EQ(run.networks * run.network_bandwidth, 2 * 195e9 / 8);
  EXPECT_DOUBLE_EQ(run.link_bandwidth, 42.5e9);
}

TEST(PaperPlan, TakesLayersToBeAlike) {
  PlanRequest request = a_run(96, 100e9);
  request.layout.model.layers[3].ffn *= 2;
  EXPECT_THROW(paper_run(request), InternalError);
}

TEST(PaperPlan, Table6) {
  EXPECT_NEAR(predict_by_paper(a_run(96, 100e9)).time.total(), 239.06, 0.006);
  EXPECT_NEAR(predict_by_paper(a_run(256, 100e9)).time.total(), 101.22, 0.006);
  EXPECT_NEAR(predict_by_paper(a_run(96, 400e9)).time.total(), 238.10, 0.1);
  EXPECT_NEAR(predict_by_paper(a_run(256, 400e9)).time.total(), 100.81, 0.1);
}

TEST(PaperPlan, ANodeAloneHasItsLinksAsNetwork) {
  PlanRequest request = a_run(32, 100e9);
  request.cluster.nodes = 1;
  request.cluster.devices_per_node = 32;
  request.cluster.network_ports = 0;
  request.cluster.inter_node = {};
  const PaperRun run = paper_run(request);
  EXPECT_EQ(run.networks, 32);
  EXPECT_DOUBLE_EQ(run.network_bandwidth, 42.5e9);
}

TEST(PaperPlan, ItsPartsAddUp) {
  const PaperPlan plan = predict_by_paper(a_run(96, 100e9));
  const nlohmann::json json = to_json(plan);
  double seconds = 0.0;
  for (const auto& part : json.at("seconds")) seconds += part.get<double>();
  EXPECT_NEAR(seconds, plan.time.total(), 1e-9);
  EXPECT_NEAR(json.at("tokens_per_second").get<double>() * plan.time.total(), 1152.0 * 4096, 1e-3);
  EXPECT_NEAR(plan.hfu, 0.55 * plan.time.parts[0] / plan.time.total(), 1e-12);
  EXPECT_LT(plan.mfu, plan.hfu);
  EXPECT_NE(report(plan).find("equation 4"), std::string::npos);
}

}  // namespace
}  // namespace headwater
