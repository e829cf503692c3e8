#include "headwater/plan/stage_costs.h"

namespace headwater {
namespace {

std::size_t as_index(int i) { return static_cast<std::size_t>(i); }

void add(StageSeconds& to, const StageSeconds& of) {
  to.forward += of.forward;
  to.input_gradient += of.input_gradient;
  to.weight_gradient += of.weight_gradient;
}

}  // namespace

StageCosts::StageCosts(const PartitionProblem& problem) : problem_(problem), sums_(1) {
  for (const LayerCost& layer : problem.layers) {
    Sums next = sums_.back();
    add(next.seconds, layer.seconds);
    next.again_selective += layer.again_selective;
    next.again_full += layer.again_full;
    next.kept += layer.kept;
    next.kept_selective += layer.kept_selective;
    next.kept_full += layer.kept_full;
    next.state += layer.state;
    sums_.push_back(next);
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
  StageCost cost;
  cost.seconds = {to.seconds.forward - from.seconds.forward,
                  to.seconds.input_gradient - from.seconds.input_gradient + again(first, last, recompute),
                  to.seconds.weight_gradient - from.seconds.weight_gradient};
  std::int64_t kept = recompute.selective ? to.kept_selective - from.kept_selective
                                          : cut.kept_full - from.kept_full + to.kept - cut.kept;
  cost.bytes = problem_.working + to.state - from.state;
  if (recompute != StageRecompute{}) cost.bytes += problem_.working_recompute;
  const auto add_end = [&](const EndCost& end) {
    add(cost.seconds, end.seconds);
    kept += end.kept;
    cost.bytes += end.state;
  };
  if (stage == 0) add_end(problem_.embedding);
  if (stage + 1 == problem_.stages()) add_end(problem_.head);
  cost.bytes += problem_.in_flight[as_index(stage)] * kept;
  return cost;
}

std::optional<StageRecompute> StageCosts::least_recompute(int stage, int first, int last) const {
  if (fits(stage, first, last, {})) return StageRecompute{};
  const int layers = last - first;
  if (!problem_.may_recompute || layers == 0) return std::nullopt;
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
  if (fits(stage, first, last, selective) && (!best || again(first, last, selective) <= again(first, last, *best)))
    best = selective;
  return best;
}

}  // namespace headwater
