#include "headwater/base/error.h"
#include "headwater/base/file.h"
#include "headwater/config/load_config.h"
#include "headwater/plan/paper/paper_plan.h"
#include "headwater/plan/search/auto_layout.h"
#include "headwater/plan/search/search_report.h"
#include "headwater/plan/simulate/plan_report.h"
#include "headwater/plan/simulate/timeline.h"

#include "commands.h"
#include "config_without_data.h"

#include <nlohmann/json.hpp>

#include <iostream>

namespace headwater {
namespace {

struct PlanOptions {
  std::string config, cluster, trace, svg, cost_model = "headwater";
  int ranks = 0, threads = 1;
  bool json = false, search = false;
};

// The run that is planned, and the machines.
struct Asked {
  RunConfig run;
  Cluster cluster;
  int ranks = 1;
  std::string dtype;
};

Asked asked(const PlanOptions& options, const Session& session) {
  Asked asked;
  asked.run = config_without_data(load_config(options.config, session.overrides).run, 1);
  asked.run.model = resolved(asked.run.model, asked.run.training.seq_length);
  const std::string file = options.cluster.empty() ? asked.run.parallel.cluster : options.cluster;
  if (file.empty())
    throw UserError(
        "headwater plan needs to know the machines: --cluster CLUSTER.json (headwater bench step "
        "--cluster-out writes one for the machine it runs on)");
  asked.run.parallel.cluster = file;
  asked.cluster = read_cluster(file);
  asked.ranks = options.ranks > 0 ? options.ranks : asked.cluster.devices();
  check_ranks(asked.cluster, asked.ranks);
  asked.dtype = dtype_on(asked.cluster, asked.run.training.dtype);
  return asked;
}

PlanRequest request_of(const Asked& asked, int threads) {
  PlanRequest request;
  request.cluster = asked.cluster;
  request.ranks = asked.ranks;
  request.dtype = asked.dtype;
  request.layout = with_layers_found(
      training_request(asked.run, settings_on(asked.cluster, asked.dtype, threads), asked.ranks), asked.dtype,
      asked.ranks);
  return request;
}

template <class Found>
void print(const Found& found, const PlanOptions& options) {
  if (options.json)
    std::cout << to_json(found).dump() << std::endl;
  else
    std::cout << report(found) << std::flush;
}

int plan_by_paper(const PlanOptions& options, const PlanRequest& request) {
  if (!options.trace.empty() || !options.svg.empty())
    throw UserError("--cost-model paper has no timeline for {}; --cost-model headwater does",
                    options.svg.empty() ? "--trace" : "--svg");
  print(predict_by_paper(request), options);
  return 0;
}

// Keys that the command line gives stay as they are. The search chooses the others anew, whatever the file
// says.
SearchRequest search_of(const Asked& asked, const PlanOptions& options, const Session& session) {
  SearchRequest request{asked.run, asked.cluster, asked.dtype, options.threads, asked.ranks, {}};
  for (const auto& [key, origin] : load_config(options.config, session.overrides).origin)
    if (origin == "command line") request.keep.insert(key);
  if (request.keeps("parallel.pipeline_layout"))
    throw UserError(
        "parallel.pipeline_layout is what --search chooses; leave it out, or plan without --search");
  return request;
}

void write_timeline(const Plan& plan, const PlanOptions& options) {
  const Timeline timeline = timeline_of(plan.time, plan.costs);
  if (!options.trace.empty()) write_text_atomically(options.trace, chrome_trace({timeline}));
  if (options.svg.empty()) return;
  const std::string title =
      fmt::format("{} on {} ranks of {}: {:.4g} s a step, bubble {:.1f} %",
                  plan.request.layout.parallel.pipeline_schedule, plan.request.ranks,
                  plan.request.cluster.name, plan.time.seconds, 100.0 * plan.time.bubble_fraction);
  write_text_atomically(options.svg, timeline_svg(timeline, title));
}

int plan_command(const Session& session, const PlanOptions& options) {
  session.one_rank_only("plan");
  const Asked what = asked(options, session);
  if (options.cost_model == "paper") {
    if (options.search)
      throw UserError("--search times layouts by the simulator; leave out --cost-model paper");
    if (!what.run.training.freeze.empty())
      throw UserError(
          "the paper's formulas are of a model of which everything is trained; leave out training.freeze, or "
          "--cost-model paper");
    return plan_by_paper(options, request_of(what, options.threads));
  }
  if (options.search) {
    const SearchResult found = search(search_of(what, options, session));
    write_timeline(found.best(), options);
    print(found, options);
    return 0;
  }
  const Plan plan = predict(request_of(what, options.threads));
  write_timeline(plan, options);
  print(plan, options);
  return 0;
}

}  // namespace

void add_plan(Command app, Session& session) {
  auto options = std::make_shared<PlanOptions>();
  Command command = app.command("plan", "Step time, memory and traffic of a run that has not been started");
  command.option("CONFIG", &options->config, "config file; its data and learning rate do not matter")
      .required();
  command.option("--cluster", &options->cluster,
                 "cluster file (docs/formats/cluster.md); parallel.cluster unless said");
  command.option("--ranks", &options->ranks, "devices; all of the cluster's unless said").between(1, 1 << 24);
  command.option("--threads", &options->threads, "threads of each rank, on which its workspace depends")
      .between(1, 4096)
      .shows_default();
  command
      .option("--cost-model", &options->cost_model,
              "headwater, or paper: the formulas of Yuan 2.0's paper as printed")
      .one_of({"headwater", "paper"})
      .shows_default();
  command.flag("--search", &options->search,
               "choose tensor, pipeline, schedule, layers and recomputation of each stage, and "
               "micro-batch; keys given on "
               "the command line stay as they are");
  command.option("--trace", &options->trace, "write the timeline for Chrome's about:tracing or Perfetto");
  command.option("--svg", &options->svg, "write the timeline as a picture");
  command.flag("--json", &options->json, "print one JSON object");
  command.runs([&session, options] { return plan_command(session, *options); });
}

}  // namespace headwater
