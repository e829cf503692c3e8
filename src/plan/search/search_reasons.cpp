#include "search_reasons.h"

#include "layer_search.h"
#include "simulate/shortage.h"

#include <fmt/format.h>

#include <algorithm>

namespace headwater {
namespace {

constexpr double kWorthSaying = 0.002;  // share of a step below which a reason is left out

struct Reason {
  double seconds;  // by which a step would be shorter without it
  std::string text;
};

std::size_t fullest_rank(const Plan& plan) {
  std::size_t fullest = 0;
  for (std::size_t r = 0; r < plan.ranks.size(); ++r)
    if (plan.ranks[r].memory_bytes > plan.ranks[fullest].memory_bytes) fullest = r;
  return fullest;
}

std::string stage_on(const Plan& plan, std::size_t rank) {
  for (const StagePlan& stage : plan.stages)
    if (stage.pipeline_rank == static_cast<int>(rank)) return fmt::format("stage {}", stage.stage);
  return "";
}

// Compares with the same way without a memory limit, where layers lie elsewhere and nothing is recomputed.
Reason of_memory(const Plan& plan, bool keep_recompute) {
  PlanRequest free = plan.request;
  free.cluster.device.memory_bytes = 0;
  const auto best = search_layers(free, {keep_recompute});
  const std::size_t fullest = fullest_rank(plan);
  const double spared = best ? plan.time.seconds - best->time.seconds : 0.0;
  return {
      spared,
      fmt::format(
          "memory: {} is fullest, {} of {}; without a limit these axes would take {:.6g} s, {:.1f} % less",
          stage_on(plan, fullest), gibibytes(plan.ranks[fullest].memory_bytes),
          gibibytes(plan.request.cluster.device.memory_bytes), plan.time.seconds - spared,
          100.0 * spared / plan.time.seconds)};
}

// Compares with the same layout where every link is free.
Reason of_links(const Plan& plan) {
  PlanRequest free = plan.request;
  free.cluster.intra_node = free.cluster.inter_node = LinkFigures{};
  const double spared = plan.time.seconds - predict(free).time.seconds;
  const StepSeconds& busiest = plan.busiest().seconds;
  const int tensor = static_cast<int>(plan.request.layout.parallel.tensor_model_parallel_size);
  std::string most = "between pipeline ranks";
  if (busiest.tensor_communication > 0.5 * spared)
    most = plan.request.cluster.between_nodes(0, tensor - 1) ? "between tensor ranks on several nodes"
                                                             : "between tensor ranks inside a node";
  else if (busiest.data_communication > 0.5 * spared)
    most = "between replicas";
  return {
      spared,
      fmt::format("links: most is sent {}; were they free, this layout would take {:.6g} s, {:.1f} % less",
                  most, plan.time.seconds - spared, 100.0 * spared / plan.time.seconds)};
}

// The slowest rank sets the pace. Compares it with the mean over the ranks.
Reason of_balance(const Plan& plan) {
  double most = 0.0, sum = 0.0;
  std::size_t slowest = 0;
  for (std::size_t r = 0; r < plan.time.pipeline.ranks.size(); ++r) {
    const double busy = plan.time.pipeline.ranks[r].busy.total();
    sum += busy;
    if (busy > most) most = busy, slowest = r;
  }
  const double mean = sum / static_cast<double>(plan.time.pipeline.ranks.size());
  return {most - mean, fmt::format("whole layers: {} works {:.6g} s, the mean is {:.6g} s",
                                   stage_on(plan, slowest), most, mean)};
}

Reason of_pipeline(const Plan& plan) {
  double most = 0.0;
  for (const RankTimes& rank : plan.time.pipeline.ranks) most = std::max(most, rank.busy.total());
  const double waits = plan.time.pipeline.end - most;
  return {waits, fmt::format("pipeline: the rank that works most waits {:.6g} s of the step, {:.1f} %, while "
                             "it fills and empties",
                             waits, 100.0 * waits / plan.time.seconds)};
}

Reason of_recompute(const Plan& plan) {
  const double again = plan.busiest().seconds.recompute;
  return {again, fmt::format("recomputation: {:.6g} s of the step, {:.1f} %, as activations do not fit",
                             again, 100.0 * again / plan.time.seconds)};
}

}  // namespace

std::vector<std::string> search_reasons(const Plan& plan, bool keep_recompute) {
  std::vector<Reason> list = {of_links(plan), of_pipeline(plan), of_balance(plan)};
  if (plan.request.cluster.device.memory_bytes > 0) list.push_back(of_memory(plan, keep_recompute));
  if (plan.busiest().seconds.recompute > 0.0) list.push_back(of_recompute(plan));
  std::stable_sort(list.begin(), list.end(),
                   [](const Reason& a, const Reason& b) { return a.seconds > b.seconds; });
  std::vector<std::string> texts;
  for (const Reason& reason : list)
    if (reason.seconds > kWorthSaying * plan.time.seconds) texts.push_back(reason.text);
  const StepSeconds& busiest = plan.busiest().seconds;
  texts.push_back(fmt::format("arithmetic: {:.6g} s of the step, {:.1f} %, on the rank that computes longest",
                              busiest.compute, 100.0 * busiest.compute / plan.time.seconds));
  return texts;
}

}  // namespace headwater
