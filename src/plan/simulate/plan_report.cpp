#include "headwater/plan/simulate/plan_report.h"

#include "headwater/run/memory_table.h"

#include "shortage.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>

namespace headwater {
namespace {

constexpr double kMiB = 1048576.0;

std::string recompute_text(const StageUnits& units) {
  if (units.recompute == Recompute::none || units.recomputed == 0) return "none";
  if (units.recompute == Recompute::selective) return "selective";
  return units.recomputed >= units.layers() ? "full" : fmt::format("{} in full", units.recomputed);
}

std::string headline(const Plan& plan) {
  const PlanRequest& request = plan.request;
  const ParallelConfig& parallel = request.layout.parallel;
  const double peak = request.cluster.peak_flops(request.dtype);
  return fmt::format(
      "{} ranks of {}: {} tensor x {} data x {} pipeline, {} micro-batches of {} x {} tokens, {}, {}\n"
      "step {:.6g} s, {:.6g} tokens/s\n"
      "MFU = model FLOPs / (time x peak) = {:.1f} %, with what is computed again (HFU) {:.1f} %; peak {} x "
      "{:.4g} FLOP/s, products reach {:.1f} % of it\n"
      "bubble = 1 - m(F + B + W)/T = {:.2f} %, mean over the ranks, T the {:.6g} s of the schedule\n",
      request.ranks, request.cluster.name, parallel.tensor_model_parallel_size, plan.data_parallel_size,
      parallel.pipeline_model_parallel_size, request.layout.micro_batches, request.layout.batch.samples,
      request.layout.batch.sequence, parallel.pipeline_schedule, request.dtype, plan.time.seconds,
      plan.tokens_per_second(), 100.0 * plan.mfu, 100.0 * plan.hfu, request.ranks, peak,
      100.0 * request.cluster.product_flops(request.dtype) / peak, 100.0 * plan.time.bubble_fraction,
      plan.time.pipeline.end);
}

std::string stage_table(const Plan& plan) {
  std::string text =
      "\nstage  rank  layers  recompute    forward ms  backward ms  of it: weights  again  tensor ranks\n";
  for (const StagePlan& stage : plan.stages) {
    const PassSeconds& s = stage.seconds;
    ActionSeconds backward = s.input_gradient;
    backward += s.weight_gradient;
    std::string layers = std::to_string(stage.units.layers());
    if (stage.units.has_embedding) layers = "E+" + layers;
    if (stage.units.has_head) layers += "+H";
    fmt::format_to(std::back_inserter(text),
                   "{:>5}  {:>4}  {:>6}  {:<11}{:>12.3f}{:>13.3f}{:>16.3f}{:>7.3f}{:>14.3f}\n", stage.stage,
                   stage.pipeline_rank, layers, recompute_text(stage.units), 1e3 * s.forward.total(),
                   1e3 * backward.total(), 1e3 * s.weight_gradient.total(), 1e3 * backward.recompute,
                   1e3 * (s.forward.tensor_communication + backward.tensor_communication));
  }
  return text;
}

std::string time_table(const Plan& plan) {
  std::string text =
      "\nms of a step, rank by rank                                                     MiB sent by a "
      "device\n"
      "rank     compute      again     waiting   tensor      data  optimizer |  pipeline    tensor      "
      "data\n";
  for (std::size_t r = 0; r < plan.ranks.size(); ++r) {
    const StepSeconds& s = plan.ranks[r].seconds;
    const SentBytes& sent = plan.ranks[r].sent;
    fmt::format_to(
        std::back_inserter(text),
        "{:>4}{:>12.3f}{:>11.3f}{:>12.3f}{:>9.3f}{:>10.3f}{:>11.3f} |{:>10.2f}{:>10.2f}{:>10.2f}\n", r,
        1e3 * s.compute, 1e3 * s.recompute, 1e3 * s.pipeline_wait, 1e3 * s.tensor_communication,
        1e3 * s.data_communication, 1e3 * s.optimizer, sent.pipeline / kMiB, sent.tensor / kMiB,
        sent.data / kMiB);
  }
  return text;
}

std::string link_table(const Plan& plan) {
  std::string text;
  for (const LinkLoad& link : link_loads(plan))
    fmt::format_to(std::back_inserter(text), "{:>5} -> {:<5}{:>10.2f} MiB{:>8.2f} % of the step, {}\n",
                   link.from, link.to, link.bytes / kMiB, 100.0 * link.busy_seconds / plan.time.seconds,
                   link.between_nodes ? "between nodes" : "inside a node");
  return text.empty() ? text : "\nlinks between pipeline ranks, of one device\n" + text;
}

std::string fit(const Plan& plan) {
  const std::int64_t limit = plan.request.cluster.device.memory_bytes;
  if (limit == 0) return "";
  const std::vector<Shortage> missing = shortages(plan);
  if (missing.empty()) return fmt::format("\nfits into {} a device\n", gibibytes(limit));
  constexpr std::size_t kShown = 8;
  std::string text = "\nDOES NOT FIT\n";
  for (std::size_t i = 0; i < std::min(kShown, missing.size()); ++i) text += "  " + missing[i].text + "\n";
  if (missing.size() > kShown) text += fmt::format("  and {} more\n", missing.size() - kShown);
  text += "what would help (the rank that needs most):\n";
  for (const std::string& remedy : remedies(plan)) text += "  " + remedy + "\n";
  return text + "  more pipeline ranks, or fewer layers on that stage (parallel.pipeline_layout)\n";
}

}  // namespace

std::vector<LinkLoad> link_loads(const Plan& plan) {
  const int ranks = static_cast<int>(plan.ranks.size());
  std::map<std::pair<int, int>, LinkLoad> loads;
  for (const TransferSpan& span : plan.time.pipeline.transfers) {
    LinkLoad& load = loads[{span.transfer.peer, span.to_rank}];
    load.from = span.transfer.peer;
    load.to = span.to_rank;
    load.between_nodes = plan.costs.network.crosses(load.from, load.to, ranks);
    load.bytes += plan.costs.network.message_bytes;
    load.busy_seconds += span.end - span.begin;
  }
  std::vector<LinkLoad> list;
  for (const auto& [ends, load] : loads) list.push_back(load);
  return list;
}

std::string report(const Plan& plan) {
  std::vector<std::vector<SegmentSize>> memory;
  for (const PipelineRankPlan& rank : plan.ranks) memory.push_back(rank.memory);
  return headline(plan) + stage_table(plan) + time_table(plan) + link_table(plan) + "\n" +
         memory_table(memory) + "\n" + fit(plan);
}

}  // namespace headwater
