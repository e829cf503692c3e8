#include "headwater/base/file.h"
#include "headwater/cli/commands.h"
#include "headwater/config/load_config.h"
#include "headwater/plan/layout_request.h"
#include "headwater/plan/paper_plan.h"
#include "headwater/plan/plan_report.h"
#include "headwater/plan/timeline.h"
#include "config_without_data.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <iostream>

namespace headwater {
namespace {

struct PlanOptions {
  std::string config, cluster, trace, svg, cost_model = "headwater";
  int ranks = 0, threads = 1;
  bool json = false;
};

// What training.dtype "auto" would choose there: bf16 where the cluster says how fast that is.
std::string dtype_on(const Cluster& cluster, const std::string& asked) {
  if (asked != "auto") return asked;
  return cluster.device.efficiency.contains("bf16") && cluster.device.peak_flops.contains("bf16") ? "bf16" : "fp32";
}

PlanRequest request_of(const PlanOptions& options, const Session& session) {
  RunConfig run = config_without_data(load_config(options.config, session.overrides).run, 1);
  run.model = resolved(run.model, run.training.seq_length);
  const std::string file = options.cluster.empty() ? run.parallel.cluster : options.cluster;
  if (file.empty())
    throw UserError("headwater plan needs to know the machines: --cluster CLUSTER.json (headwater bench step --cluster-out "
                    "writes one for the machine it runs on)");
  PlanRequest request;
  request.cluster = read_cluster(file);
  request.ranks = options.ranks > 0 ? options.ranks : request.cluster.devices();
  check_ranks(request.cluster, request.ranks);
  request.dtype = dtype_on(request.cluster, run.training.dtype);
  request.layout = training_request(run, {request.dtype, options.threads}, request.ranks);
  return request;
}

int plan_by_paper(const PlanOptions& options, const PlanRequest& request) {
  if (!options.trace.empty() || !options.svg.empty())
    throw UserError("--cost-model paper has no timeline for {}; --cost-model headwater does", options.svg.empty() ? "--trace" : "--svg");
  const PaperPlan plan = predict_by_paper(request);
  if (options.json)
    std::cout << to_json(plan).dump() << std::endl;
  else
    std::cout << report(plan) << std::flush;
  return 0;
}

int plan_command(const Session& session, const PlanOptions& options) {
  session.one_rank_only("plan");
  if (options.cost_model == "paper") return plan_by_paper(options, request_of(options, session));
  const Plan plan = predict(request_of(options, session));
  const Timeline timeline = timeline_of(plan.time, plan.costs);
  if (!options.trace.empty()) write_text_atomically(options.trace, chrome_trace({timeline}));
  if (!options.svg.empty())
    write_text_atomically(options.svg, timeline_svg(timeline, fmt::format("{} on {} ranks of {}: {:.4g} s a step, bubble {:.1f} %",
                                                                          plan.request.layout.parallel.pipeline_schedule,
                                                                          plan.request.ranks, plan.request.cluster.name,
                                                                          plan.time.seconds, 100.0 * plan.time.bubble_fraction)));
  if (options.json)
    std::cout << to_json(plan).dump() << std::endl;
  else
    std::cout << report(plan) << std::flush;
  return 0;
}

}  // namespace

void add_plan(CLI::App& app, Session& session) {
  auto options = std::make_shared<PlanOptions>();
  CLI::App* command = app.add_subcommand("plan", "Step time, memory and traffic of a run that has not been started");
  command->add_option("CONFIG", options->config, "config file; its data and learning rate do not matter")->required();
  command->add_option("--cluster", options->cluster, "cluster file (docs/formats/cluster.md); parallel.cluster unless said");
  command->add_option("--ranks", options->ranks, "devices; all of the cluster's unless said")->check(CLI::Range(1, 1 << 24));
  command->add_option("--threads", options->threads, "threads of each rank, on which its workspace depends")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command->add_option("--cost-model", options->cost_model, "headwater, or paper: the formulas of Yuan 2.0's paper as printed")
      ->check(CLI::IsMember({"headwater", "paper"}))
      ->capture_default_str();
  command->add_option("--trace", options->trace, "write the timeline for Chrome's about:tracing or Perfetto");
  command->add_option("--svg", options->svg, "write the timeline as a picture");
  command->add_flag("--json", options->json, "print one JSON object");
  command->callback([&session, options] { session.command = [&session, options] { return plan_command(session, *options); }; });
}

}  // namespace headwater
