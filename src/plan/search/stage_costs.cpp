#include "stage_costs.h"

#include "headwater/base/index.h"

#include <algorithm>

namespace headwater {
StageCosts::StageCosts(const PartitionProblem& problem) : problem_(problem), sums_(1) {
  for (const LayerCost& layer : problem.layers) {
    Sums next = sums_.back();
    next.seconds += layer.seconds;
    next.again_selective += layer.again_selective;
    next.again_full += layer.again_full;
    next.kept += layer.kept;
    next.kept_selective += layer.kept_selective;
    next.kept_full += layer.kept_full;
    next.state += layer.state;
    sums_.push_back(next);
  }
  for (const StageNeeds& needs : problem.needs) {
    std::vector<EndSeconds>& sums = ends_.emplace_back();
    if (!needs.ends.empty()) sums.emplace_back();
    for (const EndSeconds& layer : needs.ends)
      sums.push_back({sums.back().reduce + layer.reduce, sums.back().update + layer.update});
  }
}

double StageCosts::again(int first, int last, StageRecompute recompute) const {
  const Sums& from = sums_[as_index(first)];
  if (recompute.selective) return sums_[as_index(last)].again_selective - from.again_selective;
  return sums_[as_index(first + recompute.full_layers)].again_full - from.again_full;
}

StageCost StageCosts::cost(int stage, int first, int last, StageRecompute recompute) const {
  const Sums &from = sums_[as_index(first)], &cut = sums_[as_index(first + recompute.full_layers)],
             &to = sums_[as_index(last)];
  const StageNeeds& needs = problem_.needs[as_index(stage)];
  const auto kept_bytes = [&](const SlotBytes& sum, const SlotBytes& before) {
    return sum.times(needs.slots) - before.times(needs.slots);
  };
  StageCost cost;
  cost.seconds = {to.seconds.forward - from.seconds.forward,
                  to.seconds.input_gradient - from.seconds.input_gradient + again(first, last, recompute),
                  to.seconds.weight_gradient - from.seconds.weight_gradient};
  cost.bytes = needs.fixed + to.state - from.state;
  if (recompute.selective)
    cost.bytes += kept_bytes(to.kept_selective, from.kept_selective);
  else
    cost.bytes += kept_bytes(cut.kept_full, from.kept_full) + kept_bytes(to.kept, cut.kept);
  cost.working = first == last               ? 0
                 : recompute.selective       ? problem_.working_selective
                 : recompute.full_layers > 0 ? problem_.working_full
                                             : problem_.working;
  if (const std::vector<EndSeconds>& ends = ends_[as_index(stage)]; !ends.empty()) {
    cost.reduce = ends[as_index(last)].reduce - ends[as_index(first)].reduce;
    cost.update = ends[as_index(last)].update - ends[as_index(first)].update;
  }
  const auto add_end = [&](const EndCost& end) {
    cost.seconds += end.seconds;
    cost.bytes += end.state + end.kept.times(needs.slots);
    cost.working = std::max(cost.working, end.working);
    cost.reduce += end.reduce;
    cost.update += end.update;
  };
  if (stage == 0) add_end(problem_.embedding);
  if (stage + 1 == problem_.stages()) add_end(problem_.head);
  return cost;
}

bool StageCosts::fits(int stage, int first, int last, StageRecompute recompute) const {
  const StageCost all = cost(stage, first, last, recompute);
  return problem_.rank_fixed + all.bytes + all.working <= problem_.capacity;
}

std::optional<StageRecompute> StageCosts::fixed_recompute(int stage, int layers) const {
  const RecomputeLayout::Entry& entry = problem_.recompute[as_index(stage)];
  if (const auto* count = std::get_if<std::int64_t>(&entry)) {
    if (*count > layers) return std::nullopt;
    return StageRecompute{false, static_cast<int>(*count)};
  }
  const std::string& word = std::get<std::string>(entry);
  return StageRecompute{word == "selective" && layers > 0, word == "full" ? layers : 0};
}

std::optional<StageRecompute> StageCosts::least_recompute(int stage, int first, int last) const {
  const int layers = last - first;
  if (!problem_.recompute.empty()) {
    const auto fixed = fixed_recompute(stage, layers);
    return fixed && fits(stage, first, last, *fixed) ? fixed : std::nullopt;
  }
  if (fits(stage, first, last, {})) return StageRecompute{};
  if (layers == 0) return std::nullopt;
  std::optional<StageRecompute> best;
  if (fits(stage, first, last, {false, layers})) {
    int too_few = 0, enough = layers;  // bytes fall with every layer that is recomputed
    while (enough - too_few > 1) {
      const int middle = (too_few + enough) / 2;
      (fits(stage, first, last, {false, middle}) ? enough : too_few) = middle;
    }
    best = {false, enough};
  }
  const StageRecompute selective{true, 0};
  if (fits(stage, first, last, selective) &&
      (!best || again(first, last, selective) <= again(first, last, *best)))
    best = selective;
  return best;
}

}  // namespace headwater
