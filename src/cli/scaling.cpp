#include "scaling.h"

#include "headwater/base/error.h"

#include <fmt/ranges.h>

namespace headwater {

std::string_view name_of(ScalingKind kind) { return kind == ScalingKind::weak ? "weak" : "strong"; }

namespace {

std::int64_t global_batch_of(ScalingKind kind, const ScalingRequest& request, int ranks) {
  if (kind == ScalingKind::strong) return request.smallest_batch;
  const std::int64_t product = request.smallest_batch * ranks;
  const int fewest = request.ranks.front();
  if (product % fewest != 0)
    throw UserError(
        "weak scaling from {} to {} ranks makes a global batch of {} x {} / {} samples, which is not whole; "
        "training.global_batch_size, that of {} ranks, must be a multiple of {}",
        fewest, ranks, request.smallest_batch, ranks, fewest, fewest, fewest);
  return product / fewest;
}

double speed_per_rank(const ScalingRow& row) { return row.speed.tokens_per_second / row.run.ranks; }

}  // namespace

ScalingCases scaling_cases(const ScalingRequest& request) {
  ScalingCases result;
  for (const ScalingKind kind : request.kinds)
    for (std::size_t layout = 0; layout < request.layouts.size(); ++layout)
      for (const int ranks : request.ranks) {
        const ParallelConfig& parallel = request.layouts[layout].parallel;
        const std::int64_t replica =
            parallel.tensor_model_parallel_size * parallel.pipeline_model_parallel_size;
        if (ranks % replica == 0)
          result.cases.push_back(
              {kind, {ranks, static_cast<int>(layout), global_batch_of(kind, request, ranks)}});
        else if (kind == request.kinds.front())
          result.left_out.push_back(fmt::format("{}: a replica of tensor {} x pipeline {} takes {}",
                                                ranks_text(ranks), parallel.tensor_model_parallel_size,
                                                parallel.pipeline_model_parallel_size, replica));
      }
  if (result.cases.empty()) throw UserError("nothing to measure: {}", fmt::join(result.left_out, "; "));
  return result;
}

std::string ranks_text(int ranks) { return fmt::format("{} rank{}", ranks, ranks == 1 ? "" : "s"); }

std::string describe(const ParallelConfig& parallel, int ranks) {
  const std::int64_t tensor = parallel.tensor_model_parallel_size,
                     stages = parallel.pipeline_model_parallel_size;
  std::vector<std::string> parts;
  if (tensor > 1)
    parts.push_back(fmt::format("tensor {}{}", tensor, parallel.sequence_parallel ? " and sequence" : ""));
  if (stages > 1) {
    parts.push_back(fmt::format("pipeline {}", stages));
    if (!parallel.pipeline_layout.uniform && !parallel.pipeline_layout.layers.empty())
      parts.back() += fmt::format(" [{}]", fmt::join(parallel.pipeline_layout.layers, ","));
    if (parallel.pipeline_schedule != "1f1b") parts.back() += " " + parallel.pipeline_schedule;
  }
  if (const std::int64_t replicas = ranks / (tensor * stages); replicas > 1 || parts.empty())
    parts.push_back(fmt::format("data {}", replicas));
  if (parallel.use_distributed_optimizer) parts.emplace_back("ZeRO-1");
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::vector<ScalingRow> scaling_rows(const std::vector<ScalingCase>& cases,
                                     const std::map<ScalingRun, RunSpeed>& measured) {
  std::vector<ScalingRow> rows;
  for (const ScalingCase& one : cases)
    if (const auto found = measured.find(one.run); found != measured.end())
      rows.push_back({one.kind, one.run, found->second, 1, 1.0});
  for (const ScalingKind kind : {ScalingKind::weak, ScalingKind::strong}) {
    const ScalingRow* baseline = nullptr;
    for (const ScalingRow& row : rows) {
      if (row.kind != kind) continue;
      const bool better =
          !baseline || row.run.ranks < baseline->run.ranks ||
          (row.run.ranks == baseline->run.ranks && speed_per_rank(row) > speed_per_rank(*baseline));
      if (better) baseline = &row;
    }
    if (!baseline) continue;
    const double best = speed_per_rank(*baseline);
    const int ranks = baseline->run.ranks;
    for (ScalingRow& row : rows) {
      if (row.kind != kind) continue;
      row.baseline_ranks = ranks;
      row.efficiency = speed_per_rank(row) / best;
    }
  }
  return rows;
}

}  // namespace headwater
