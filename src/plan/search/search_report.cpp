#include "headwater/plan/search/search_report.h"

#include "headwater/config/load_config.h"
#include "headwater/plan/simulate/plan_report.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <iterator>

namespace headwater {
namespace {

using nlohmann::json;

double slower(const SearchResult& result, const Plan& plan) {
  return plan.time.seconds / result.best().time.seconds - 1.0;
}

// "2x10 3x20 2x2": runs of equal counts.
std::string layers_text(const Plan& plan) {
  std::string text;
  for (std::size_t i = 0; i < plan.stages.size();) {
    const int layers = plan.stages[i].units.layers();
    std::size_t run = 0;
    while (i + run < plan.stages.size() && plan.stages[i + run].units.layers() == layers) ++run;
    text += fmt::format("{}{}{}", i == 0 ? "" : " ", layers, run == 1 ? "" : fmt::format("x{}", run));
    i += run;
  }
  return text;
}

// "none", "full" or how many layers of all are computed again.
std::string recompute_text(const Plan& plan) {
  int full = 0, selective = 0;
  for (const StagePlan& stage : plan.stages) {
    if (stage.units.recompute == Recompute::full) full += stage.units.recomputed;
    if (stage.units.recompute == Recompute::selective) selective += stage.units.recomputed;
  }
  if (full == 0 && selective == 0) return "none";
  std::string text = full > 0 ? fmt::format("{} full", full) : "";
  if (selective > 0) text += fmt::format("{}{} selective", text.empty() ? "" : ", ", selective);
  return text;
}

std::string table(const SearchResult& result) {
  std::string text =
      "    step s   slower  tensor  data  pipeline  schedule        micro-batch  memory GiB  layers again    "
      "  layers\n";
  for (const Plan& plan : result.plans) {
    const ParallelConfig& p = plan.request.layout.parallel;
    std::int64_t most = 0;
    for (const PipelineRankPlan& rank : plan.ranks) most = std::max(most, rank.memory_bytes);
    fmt::format_to(std::back_inserter(text),
                   "{:>10.6g}{:>8.2f}%{:>7}{}{:>6}{:>10}  {:<16}{:>11}{:>12.1f}  {:<18}{}\n",
                   plan.time.seconds, 100.0 * slower(result, plan), p.tensor_model_parallel_size,
                   p.sequence_parallel ? "s" : " ", plan.data_parallel_size, p.pipeline_model_parallel_size,
                   p.pipeline_schedule + (p.num_chunks > 1 ? fmt::format(" x{}", p.num_chunks) : ""),
                   plan.request.layout.batch.samples, static_cast<double>(most) / 1073741824.0,
                   recompute_text(plan), layers_text(plan));
  }
  return text + "(s: sequence parallel; the optimizer is sharded unless the config below says otherwise)\n";
}

}  // namespace

json chosen_config(const Plan& plan) {
  RunConfig run;
  run.parallel = plan.request.layout.parallel;
  return {{"parallel", headwater::to_json(run)["parallel"]},
          {"training", {{"micro_batch_size", plan.request.layout.batch.samples}}}};
}

std::string report(const SearchResult& result) {
  std::string text = fmt::format(
      "search: {} ways to share {} ranks, {} estimated, of {} the layers searched and simulated\n{}\nwhy not "
      "faster:\n",
      result.ways, result.best().request.ranks, result.estimated, result.simulated, table(result));
  for (const std::string& reason : result.reasons) text += "  " + reason + "\n";
  return text + "\nfor the config:\n" + chosen_config(result.best()).dump() + "\n\n" + report(result.best());
}

json to_json(const SearchResult& result) {
  json all = to_json(result.best()), alternatives = json::array();
  for (const Plan& plan : result.plans) {
    if (&plan == &result.best()) continue;
    json one = chosen_config(plan);
    one["step_seconds"] = plan.time.seconds;
    one["slower"] = slower(result, plan);
    one["tokens_per_second"] = plan.tokens_per_second();
    one["data_parallel_size"] = plan.data_parallel_size;
    alternatives.push_back(one);
  }
  all["config"] = chosen_config(result.best());
  all["alternatives"] = alternatives;
  all["reasons"] = result.reasons;
  all["search"] = {{"ways", result.ways}, {"estimated", result.estimated}, {"simulated", result.simulated}};
  return all;
}

}  // namespace headwater
