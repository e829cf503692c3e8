#include "scaling_output.h"

#include "headwater/config/load_config.h"

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <numeric>

namespace headwater {
namespace {

const ParallelConfig& parallel_of(const ScalingReport& report, const ScalingRow& row) {
  return report.layouts[static_cast<std::size_t>(row.run.layout)].parallel;
}

std::string percent(double share) { return fmt::format("{:.1f} %", 100.0 * share); }

// Returns each rank's waiting share, or where there are many the least, mean and most.
std::string waiting(const std::vector<double>& shares) {
  constexpr std::size_t kShown = 8;
  std::vector<std::string> parts;
  if (shares.size() <= kShown) {
    for (const double share : shares) parts.push_back(fmt::format("{:.1f}", 100.0 * share));
  } else {
    const auto [least, most] = std::minmax_element(shares.begin(), shares.end());
    const double mean =
        std::accumulate(shares.begin(), shares.end(), 0.0) / static_cast<double>(shares.size());
    parts = {fmt::format("{:.1f} to {:.1f}, mean {:.1f}", 100.0 * *least, 100.0 * *most, 100.0 * mean)};
  }
  return fmt::format("{} %", fmt::join(parts, " "));
}

}  // namespace

std::string scaling_table(const ScalingReport& report) {
  std::string text;
  std::size_t width = 6;
  for (const ScalingRow& row : report.rows)
    width = std::max(width, describe(parallel_of(report, row), row.run.ranks).size());
  for (const ScalingKind kind : {ScalingKind::weak, ScalingKind::strong}) {
    const auto first = std::find_if(report.rows.begin(), report.rows.end(),
                                    [&](const ScalingRow& row) { return row.kind == kind; });
    if (first == report.rows.end()) continue;
    text += fmt::format("{} scaling: {}; baseline: {}\n", name_of(kind),
                        kind == ScalingKind::weak
                            ? "the global batch grows with the ranks, each keeps its share of samples"
                            : "the global batch stays, however many ranks share it",
                        ranks_text(first->baseline_ranks));
    text += fmt::format("{:>5}  {:<{}}  {:>7}  {:>9}  {:>10}  {:>10}  {}\n", "ranks", "layout", width,
                        "samples", "ms a step", "tokens/s", "efficiency", "waiting, by rank");
    for (const ScalingRow& row : report.rows)
      if (row.kind == kind)
        text += fmt::format("{:>5}  {:<{}}  {:>7}  {:>9.1f}  {:>10.1f}  {:>10}  {}\n", row.run.ranks,
                            describe(parallel_of(report, row), row.run.ranks), width, row.run.global_batch,
                            row.speed.elapsed_ms, row.speed.tokens_per_second, percent(row.efficiency),
                            waiting(row.speed.waiting_share));
    text += '\n';
  }
  text +=
      "efficiency = (tokens/s / ranks) / (baseline's tokens/s / baseline's ranks)\n"
      "waiting = share of a rank's time in steps in which it waits for other ranks, or for data on its way\n";
  for (const std::string& note : report.notes) text += note + "\n";
  return text;
}

std::string scaling_csv(const ScalingReport& report) {
  std::string text =
      "kind,ranks,threads,tensor,pipeline,layout,global_batch_size,elapsed_ms,tokens_per_second,efficiency,"
      "baseline_ranks,waiting_share_by_rank\n";
  for (const ScalingRow& row : report.rows) {
    const ParallelConfig& parallel = parallel_of(report, row);
    text += fmt::format("{},{},{},{},{},\"{}\",{},{},{},{},{},{}\n", name_of(row.kind), row.run.ranks,
                        row.speed.threads, parallel.tensor_model_parallel_size,
                        parallel.pipeline_model_parallel_size, describe(parallel, row.run.ranks),
                        row.run.global_batch, row.speed.elapsed_ms, row.speed.tokens_per_second,
                        row.efficiency, row.baseline_ranks, fmt::join(row.speed.waiting_share, " "));
  }
  return text;
}

nlohmann::json scaling_json(const ScalingReport& report) {
  nlohmann::json rows = nlohmann::json::array();
  for (const ScalingRow& row : report.rows) {
    RunConfig run;
    run.parallel = parallel_of(report, row);
    rows.push_back({{"ranks", row.run.ranks},
                    {"parallel", to_json(run).at("parallel")},
                    {"kind", name_of(row.kind)},
                    {"global_batch_size", row.run.global_batch},
                    {"threads", row.speed.threads},
                    {"elapsed_ms", row.speed.elapsed_ms},
                    {"tokens_per_second", row.speed.tokens_per_second},
                    {"efficiency", row.efficiency},
                    {"baseline_ranks", row.baseline_ranks},
                    {"waiting_share", row.speed.waiting_share}});
  }
  return {{"rows", rows}, {"notes", report.notes}};
}

}  // namespace headwater
