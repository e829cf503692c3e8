#include "headwater/base/error.h"
#include "headwater/base/failure.h"
#include "headwater/base/file.h"
#include "headwater/base/log.h"
#include "headwater/base/threads.h"

#include "bench_config.h"
#include "commands.h"
#include "scaling_launch.h"
#include "scaling_output.h"

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <set>
#include <sstream>

namespace headwater {
namespace {

struct ScalingOptions {
  std::string config, kind = "both", launcher, results, slurm, csv, svg;
  std::vector<int> ranks;
  std::vector<std::string> layouts;
  int steps = 10, threads = 0, ranks_per_node = 0;
  bool json = false;
};

ScalingLayout layout_of(const std::string& words, const Session& session, const ScalingOptions& options) {
  std::vector<std::string> overrides = session.overrides;
  std::istringstream in(words);
  for (std::string word; in >> word;) overrides.push_back("--parallel." + word);
  return {words, bench_config(options.config, overrides, options.steps).parallel};
}

ScalingRequest request_of(const Session& session, const ScalingOptions& options) {
  ScalingRequest request;
  request.ranks = options.ranks;
  std::sort(request.ranks.begin(), request.ranks.end());
  request.ranks.erase(std::unique(request.ranks.begin(), request.ranks.end()), request.ranks.end());
  for (const std::string& words : options.layouts)
    request.layouts.push_back(layout_of(words, session, options));
  if (request.layouts.empty()) request.layouts.push_back(layout_of("", session, options));
  if (options.kind != "strong") request.kinds.push_back(ScalingKind::weak);
  if (options.kind != "weak") request.kinds.push_back(ScalingKind::strong);
  const TrainingConfig training = bench_config(options.config, session.overrides, options.steps).training;
  // The most ranks, as replicas that share the batch of the fewest, then still have a micro-batch each.
  request.smallest_batch = training.global_batch_size > 0 ? training.global_batch_size
                                                          : training.micro_batch_size * request.ranks.back();
  return request;
}

ScalingLaunch launch_of(const Session& session, const ScalingOptions& options,
                        const ScalingRequest& request) {
  ScalingLaunch launch;
  launch.launcher = options.launcher;
  launch.bench_step = {"bench", "step"};
  if (!options.config.empty()) launch.bench_step.push_back(options.config);
  launch.bench_step.insert(launch.bench_step.end(), session.overrides.begin(), session.overrides.end());
  launch.bench_step.insert(launch.bench_step.end(), {"--steps", std::to_string(options.steps)});
  launch.layouts = request.layouts;
  launch.results = options.results;
  launch.cores = available_cores();
  // Every run has the same threads a rank: one rank must not have the whole host where four will share it.
  launch.threads = options.threads > 0 ? options.threads : threads_for(request.ranks.back());
  return launch;
}

// Returns each run once, in the order in which the cases want them.
std::vector<ScalingRun> runs_of(const ScalingCases& cases) {
  std::vector<ScalingRun> runs;
  for (const ScalingCase& one : cases.cases)
    if (std::find(runs.begin(), runs.end(), one.run) == runs.end()) runs.push_back(one.run);
  return runs;
}

std::vector<std::string> notes_of(const ScalingLaunch& launch, const ScalingCases& cases,
                                  const std::vector<ScalingRow>& rows) {
  std::set<int> threads, crowded;
  for (const ScalingRow& row : rows) threads.insert(row.speed.threads);
  std::vector<std::string> notes = {fmt::format("threads of every rank: {}", fmt::join(threads, " or "))};
  for (const ScalingRun& run : runs_of(cases))
    if (oversubscribes(launch, run.ranks)) crowded.insert(run.ranks);
  if (!crowded.empty())
    notes.push_back(fmt::format(
        "oversubscribed: {} ranks share the {} cores of this host, so their efficiency is not that of as "
        "many cores",
        fmt::join(crowded, " and "), launch.cores));
  for (const std::string& why : cases.left_out) notes.push_back("left out: " + why);
  return notes;
}

// Makes all runs. A failure is thrown only after what has been measured is shown.
std::optional<Failure> measure_all(const ScalingLaunch& launch, const std::vector<ScalingRun>& runs,
                                   std::map<ScalingRun, RunSpeed>& measured) {
  std::optional<Failure> first;
  for (const ScalingRun& run : runs) {
    const std::string name = fmt::format(
        "{} ({}), {} samples a step", ranks_text(run.ranks),
        describe(launch.layouts[static_cast<std::size_t>(run.layout)].parallel, run.ranks), run.global_batch);
    try {
      measured[run] = measure(launch, run);
      log::info("{}: {:.1f} tokens/s", name, measured[run].tokens_per_second);
    } catch (...) {
      const Failure failure = failure_of(std::current_exception());
      log::error("{}: {}", name, failure.message);
      if (!first)
        first = Failure{failure.exit_code, fmt::format("bench scaling: {}: {}", name, failure.message)};
    }
  }
  return first;
}

std::string command_line(const Session& session, const ScalingOptions& options) {
  std::vector<std::string> words = {"headwater", "bench", "scaling"};
  if (!options.config.empty()) words.push_back(options.config);
  words.insert(words.end(), session.overrides.begin(), session.overrides.end());
  words.insert(words.end(), {"--ranks", fmt::format("{}", fmt::join(options.ranks, ",")), "--kind",
                             options.kind, "--results", options.results});
  for (const std::string& layout : options.layouts) words.insert(words.end(), {"--parallel", layout});
  return shell_line(words);
}

int bench_scaling_command(Session& session, const ScalingOptions& options) {
  if (const Launcher launcher = detect_launcher(); launcher.present)
    throw UserError("headwater bench scaling starts its ranks itself: run it without {}", launcher.name);
  if (!options.slurm.empty() && options.results.empty())
    throw UserError("--slurm needs --results FOLDER, a shared folder where the jobs leave what they measure");
  const ScalingRequest request = request_of(session, options);
  const ScalingCases cases = scaling_cases(request);
  const ScalingLaunch launch = launch_of(session, options, request);
  const std::vector<ScalingRun> runs = runs_of(cases);
  if (!options.slurm.empty()) {
    const std::string afterwards = command_line(session, options);
    write_text_atomically(options.slurm, slurm_script(launch, runs, options.ranks_per_node, afterwards));
    std::cout << fmt::format("{} jobs in {}; when they have ended: {}\n", runs.size(), options.slurm,
                             afterwards);
    return 0;
  }
  std::map<ScalingRun, RunSpeed> measured;
  const std::optional<Failure> failure = measure_all(launch, runs, measured);
  const std::vector<ScalingRow> rows = scaling_rows(cases.cases, measured);
  const ScalingReport report{request.layouts, rows, notes_of(launch, cases, rows)};
  if (!report.rows.empty()) {
    if (!options.csv.empty()) write_text_atomically(options.csv, scaling_csv(report));
    if (!options.svg.empty()) write_text_atomically(options.svg, scaling_svg(report));
    std::cout << (options.json ? scaling_json(report).dump() + "\n" : scaling_table(report)) << std::flush;
  }
  if (failure) raise(*failure);
  return 0;
}

}  // namespace

void add_bench_scaling(Command bench, Session& session) {
  auto options = std::make_shared<ScalingOptions>();
  Command scaling = bench.command("scaling",
                                  "Time training steps on several numbers of ranks, each started by "
                                  "mpirun; how much of a rank's speed is left");
  scaling.option("CONFIG", &options->config, "config file, as for `bench step`");
  scaling.option("--ranks", &options->ranks, "numbers of ranks, such as 1,2,4")
      .separated_by(',')
      .required()
      .between(1, 1 << 20);
  scaling
      .option("--parallel", &options->layouts,
              "a layout: keys of the parallel section, such as \"pipeline_model_parallel_size=2 "
              "pipeline_layout=[3,1]\"; "
              "may be given several times (default: the config's)")
      .may_be_repeated();
  scaling.option("--kind", &options->kind, "weak: the global batch grows with the ranks; strong: it stays")
      .one_of({"weak", "strong", "both"})
      .shows_default();
  scaling.option("--steps", &options->steps, "steps to measure in each run")
      .between(1, 1 << 20)
      .shows_default();
  scaling
      .option("--threads", &options->threads,
              "threads of each rank (default: the cores, shared among the most ranks)")
      .between(1, 4096);
  scaling.option(
      "--launcher", &options->launcher,
      "what starts the ranks where they are not all on this host, such as \"mpirun --hostfile hosts\"");
  scaling.option("--results", &options->results,
                 "folder that keeps what each run printed; a run whose file is there is not repeated");
  scaling.option("--slurm", &options->slurm,
                 "run nothing: write a script that submits a Slurm job for each run");
  scaling.option("--ranks-per-node", &options->ranks_per_node, "of the Slurm jobs").between(1, 1 << 16);
  scaling.option("--csv", &options->csv, "write the rows as CSV");
  scaling.option("--svg", &options->svg, "write a plot of the efficiency");
  scaling.flag("--json", &options->json, "print one JSON object");
  scaling.runs([&session, options] { return bench_scaling_command(session, *options); });
}

}  // namespace headwater
