#include "headwater/plan/paper/paper_plan.h"

#include "headwater/config/load_config.h"
#include "headwater/model/uniform_layer.h"
#include "headwater/nn/flops.h"
#include "headwater/run/global_batch.h"
#include "headwater/run/sharding_of.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <iterator>

namespace headwater {
namespace {

struct Part {
  const char* name;
  double seconds;
};

std::array<Part, 5> parts(const PaperPlan& plan) {
  const std::array<double, 5>& t = plan.time.parts;
  return {{{"compute, with recomputation", t[0]},
           {"bubble", t[1]},
           {"between stages", t[2]},
           {plan.tensor_ranks() ? "tensor ranks" : "sum of gradients", t[3]},
           {plan.tensor_ranks() ? "sum of gradients" : "updated weights", t[4]}}};
}

}  // namespace

PaperRun paper_run(const PlanRequest& request) {
  const RankLayoutRequest& layout = request.layout;
  const Cluster& cluster = request.cluster;
  PaperRun run;
  run.layers = static_cast<double>(layout.model.layers.size());
  run.hidden = static_cast<double>(uniform_layer(layout.model, "the paper's cost model").hidden);
  run.sequence = static_cast<double>(layout.batch.sequence);
  run.vocabulary = static_cast<double>(layout.model.vocabulary);
  run.lfa = has_lfa(layout.model);
  run.micro_batches = layout.micro_batches;
  run.micro_batch = static_cast<double>(layout.batch.samples);
  run.pipeline = static_cast<double>(layout.parallel.pipeline_model_parallel_size);
  run.tensor = static_cast<double>(layout.parallel.tensor_model_parallel_size);
  run.data = static_cast<double>(data_parallel_size(layout.parallel, request.ranks));
  run.flops = cluster.product_flops(request.dtype);
  run.networks = cluster.network_ports > 0 ? cluster.network_ports : cluster.devices_per_node;
  run.network_bandwidth = cluster.link(cluster.nodes > 1).bandwidth * cluster.devices_per_node / run.networks;
  run.link_bandwidth = cluster.link(cluster.devices_per_node == 1).bandwidth;
  return run;
}

PaperPlan predict_by_paper(const PlanRequest& request) {
  check_ranks(request.cluster, request.ranks);
  PaperPlan plan;
  plan.request = request;
  plan.run = paper_run(request);
  plan.time = paper_step_time(plan.run);
  plan.tokens = plan.run.micro_batches * plan.run.micro_batch * plan.run.sequence * plan.run.data;
  const double peak = request.cluster.peak_flops(request.dtype), seconds = plan.time.total();
  plan.mfu = model_flops_per_token(request.layout.model, request.layout.batch.sequence) * plan.tokens /
             seconds / (peak * request.ranks);
  plan.hfu = plan.time.parts[0] / seconds * plan.run.flops / peak;
  return plan;
}

std::string report(const PaperPlan& plan) {
  const PaperRun& r = plan.run;
  const double seconds = plan.time.total();
  std::string text = fmt::format(
      "by the formulas of Yuan 2.0's paper (section 3.4), equation {}: {}\n"
      "A {:g}, B {:g}, L {:g}, H {:g}, S {:g}, V {:g}; Ps {:g}, Ts {:g}, Ds {:g}; F {:.4g} FLOP/s; n_net "
      "{:g}, BW_net {:.4g}, BW_link {:.4g} bytes/s\n\n",
      plan.tensor_ranks() ? (r.lfa ? 2 : 1) : (r.lfa ? 4 : 3),
      plan.tensor_ranks() ? "tensor, pipeline and data ranks" : "pipeline and data ranks, optimizer sharded",
      r.micro_batches, r.micro_batch, r.layers, r.hidden, r.sequence, r.vocabulary, r.pipeline, r.tensor,
      r.data, r.flops, r.networks, r.network_bandwidth, r.link_bandwidth);
  for (std::size_t i = 0; const Part& part : parts(plan))
    fmt::format_to(std::back_inserter(text), "T{}  {:<28}{:>12.3f} s{:>8.2f} %\n", i++, part.name,
                   part.seconds, 100.0 * part.seconds / seconds);
  fmt::format_to(std::back_inserter(text),
                 "    {:<28}{:>12.3f} s\n\n{:.6g} tokens/s, MFU {:.1f} %, HFU {:.1f} %\n", "step", seconds,
                 plan.tokens / seconds, 100.0 * plan.mfu, 100.0 * plan.hfu);
  return text +
         "not in these formulas: stages that differ, the head, the optimizer, attention's whole cost, "
         "transfers that overlap;\n"
         "every layer is recomputed in full. --cost-model headwater has them\n";
}

nlohmann::json to_json(const PaperPlan& plan) {
  const std::array<double, 5>& t = plan.time.parts;
  const double seconds = plan.time.total(), data = plan.tensor_ranks() ? t[4] : t[3] + t[4];
  RunConfig run;
  run.parallel = plan.request.layout.parallel;
  return {{"cost_model", "paper"},
          {"step_seconds", seconds},
          {"tokens_per_second", plan.tokens / seconds},
          {"mfu", plan.mfu},
          {"hfu", plan.hfu},
          {"bubble_fraction", t[1] / (t[0] + t[1])},
          {"parallel", to_json(run)["parallel"]},
          {"seconds",
           {{"compute", 0.75 * t[0]},  // forward 1, backward 2; again 1
            {"recompute", 0.25 * t[0]},
            {"pipeline_wait", t[1] + t[2]},
            {"tensor_communication", plan.tensor_ranks() ? t[3] : 0.0},
            {"data_communication", data},
            {"optimizer", 0.0}}},
          {"paper", {{"T0", t[0]}, {"T1", t[1]}, {"T2", t[2]}, {"T3", t[3]}, {"T4", t[4]}}},
          {"rank_count", plan.request.ranks},
          {"data_parallel_size", plan.run.data},
          {"micro_batches", plan.request.layout.micro_batches},
          {"dtype", plan.request.dtype},
          {"cluster", plan.request.cluster.name}};
}

}  // namespace headwater
