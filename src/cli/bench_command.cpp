#include "headwater/base/file.h"
#include "headwater/bench/bench_step.h"
#include "headwater/bench/measure_machine.h"
#include "headwater/train/run_setup.h"

#include "bench_config.h"
#include "commands.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <iostream>

namespace headwater {
namespace {

struct BenchStepOptions {
  std::string config, cluster_out, trace;
  int steps = 10;
  bool json = false;
};

nlohmann::json to_json(const StepBenchmark& b) {
  nlohmann::json ops = nlohmann::json::array();
  for (const OpSeconds& op : b.ops)
    ops.push_back({{"name", op.name},
                   {"calls", op.calls},
                   {"seconds", op.seconds},
                   {"floor_seconds", op.floor_seconds}});
  nlohmann::json root = {{"device", b.device},
                         {"tokens_per_second", b.tokens_per_second},
                         {"elapsed_ms", b.elapsed_seconds * 1e3},
                         {"tokens", b.tokens},
                         {"model_flops_per_token", b.model_flops_per_token},
                         {"achieved_flops", b.achieved_flops},
                         {"matmul_flops", b.matmul_flops},
                         {"share_of_matmul", b.share_of_matmul},
                         {"memory_bandwidth", b.memory_bandwidth},
                         {"peak_bytes", b.peak_bytes},
                         {"ranks", b.ranks},
                         {"threads", b.threads},
                         {"dtype", b.dtype},
                         {"waiting_share", b.waiting_share},
                         {"observed_seconds", b.observed_seconds},
                         {"ops", ops}};
  if (b.peak) root["peak_source"] = b.peak->source;
  if (b.mfu) {
    root["mfu"] = *b.mfu;
    root["peak_flops"] = *b.peak->flops;
  }
  if (b.prediction) root["prediction"] = to_json(*b.prediction);
  return root;
}

// Returns CLUSTER.json. The efficiency is known for the dtype that was measured. A link is left out where no
// two ranks lie on its ends.
nlohmann::json cluster_file(const MachineFigures& m, const StepBenchmark& b) {
  nlohmann::json cluster = {{"name", m.name},
                            {"nodes", m.nodes},
                            {"devices_per_node", m.devices_per_node},
                            {"device",
                             {{"kind", "cpu"},  // nothing of a GPU is measured for this file
                              {"memory_bytes", m.memory_bytes},
                              {"memory_bandwidth", m.memory_bandwidth},
                              {"peak_flops", m.peak_flops},
                              {"efficiency", {{b.dtype, b.share_of_matmul}}}}}};
  const auto add_link = [&](const char* key, const std::optional<LinkSpeed>& link) {
    if (link) cluster[key] = {{"bandwidth", link->bandwidth}, {"latency_seconds", link->latency_seconds}};
  };
  add_link("intra_node", m.intra_node);
  add_link("inter_node", m.inter_node);
  return cluster;
}

void print_table(const StepBenchmark& b, std::ostream& out) {
  out << fmt::format("{:<24}{:>8}{:>12}{:>9}{:>12}{:>12}\n", b.ranks > 1 ? "op, mean over ranks" : "op",
                     "calls", "ms a step", "share", "floor, ms", "time/floor");
  double in_ops = 0.0;
  const auto share = [&](double seconds) {
    return fmt::format("{:.1f} %", 100.0 * seconds / b.observed_seconds);
  };
  for (const OpSeconds& op : b.ops) {
    in_ops += op.seconds;
    out << fmt::format("{:<24}{:>8.4g}{:>12.3f}{:>9}{:>12.3f}{:>12}\n", op.name, op.calls, op.seconds * 1e3,
                       share(op.seconds), op.floor_seconds * 1e3,
                       op.floor_seconds > 0.0 ? fmt::format("{:.2f}", op.seconds / op.floor_seconds) : "");
  }
  const double outside = b.observed_seconds - in_ops;
  out << fmt::format("{:<32}{:>12.3f}{:>9}\n", "between ops: batches, waiting", outside * 1e3, share(outside))
      << "floor = max(FLOPs of its products / matmul FLOP/s, least bytes moved / memory bandwidth); what "
         "lies in a cache may "
         "beat it\n\n";
}

void print_summary(const StepBenchmark& b, std::ostream& out) {
  const std::string where = b.prediction ? fmt::format("x {} threads", b.threads) : "on " + b.device;
  out << fmt::format(
             "{} ranks {}, {}, {} tokens a step: {:.1f} ms (median), {:.1f} tokens/s, arena {:.1f} MiB a "
             "rank\n",
             b.ranks, where, b.dtype, b.tokens, b.elapsed_seconds * 1e3, b.tokens_per_second,
             static_cast<double>(b.peak_bytes) / 1048576.0)
      << fmt::format("model FLOP/s = {:.4g} model FLOPs per token x tokens/s = {:.4g}\n",
                     b.model_flops_per_token, b.achieved_flops)
      << fmt::format(
             "measured in the same run: matmul {:.4g} FLOP/s ({}, all ranks at once), memory {:.4g} "
             "bytes/s\n",
             b.matmul_flops, b.dtype, b.memory_bandwidth)
      << fmt::format(
             "waiting = share of a rank's steps in which it waits for other ranks, or for data on its way: "
             "{:.1f} to {:.1f} %\n",
             100.0 * *std::min_element(b.waiting_share.begin(), b.waiting_share.end()),
             100.0 * *std::max_element(b.waiting_share.begin(), b.waiting_share.end()))
      << fmt::format("share of matmul = model FLOP/s / matmul FLOP/s = {:.1f} %\n",
                     100.0 * b.share_of_matmul);
  if (b.mfu)
    out << fmt::format("MFU = model FLOP/s / peak FLOP/s = {:.1f} %; peak {:.4g} FLOP/s ({})\n",
                       100.0 * *b.mfu, *b.peak->flops, b.peak->source);
  else if (b.peak)
    out << fmt::format("no MFU: {}\n", b.peak->source);
}

int bench_step_command(Session& session, const BenchStepOptions& options) {
  const RunConfig run = bench_config(options.config, session.overrides, options.steps);
  session.world.set_timeout(run.training.comm_timeout_s);
  if ((!options.cluster_out.empty() || !options.trace.empty()) &&
      !can_predict(choose_settings(run.training, session.world)))
    throw UserError(
        "bench step on GPUs has nothing for {}: it measures no parts of a step and no links there",
        options.trace.empty() ? "--cluster-out" : "--trace");
  const StepBenchmark result = bench_step(session.world, run, options.steps);
  if (!options.cluster_out.empty()) {
    const MachineFigures machine = measure_machine(session.world, result.threads);
    if (session.world.rank() == 0)
      write_text_atomically(options.cluster_out, cluster_file(machine, result).dump(2) + "\n");
  }
  if (session.out() == nullptr) return 0;
  if (!options.trace.empty()) write_text_atomically(options.trace, chrome_trace(result.timelines));
  if (options.json) {
    *session.out() << to_json(result).dump() << std::endl;
  } else {
    print_table(result, *session.out());
    print_summary(result, *session.out());
    if (result.prediction) *session.out() << report(*result.prediction);
    session.out()->flush();
  }
  return 0;
}

}  // namespace

void add_bench(Command app, Session& session) {
  Command bench = app.command("bench", "Measured speed beside its physical limit");
  bench.needs_a_command();
  auto options = std::make_shared<BenchStepOptions>();
  Command step = bench.command(
      "step",
      "Time training steps on random tokens; where nothing is said: yuan2-small, 4 samples of 256 tokens");
  step.option("CONFIG", &options->config, "config file; its data and learning rate do not matter");
  step.option("--steps", &options->steps, "steps to measure").between(1, 1 << 20).shows_default();
  step.option("--cluster-out", &options->cluster_out,
              "write what `plan` needs to know of this machine: CLUSTER.json");
  step.option(
      "--trace", &options->trace,
      "write the predicted and the measured timeline of a step, for Chrome's about:tracing or Perfetto");
  step.flag("--json", &options->json, "print one JSON object");
  step.runs([&session, options] { return bench_step_command(session, *options); });
  add_bench_ops(bench, session);
  add_bench_scaling(bench, session);
  add_bench_matmul(bench, session);
}

}  // namespace headwater
