#include "layer_search.h"

#include "balanced_layouts.h"
#include "hill_climb.h"
#include "layer_partition.h"
#include "partition_problem.h"

#include <algorithm>
#include <map>

namespace headwater {
namespace {

// An estimate plays at most this many micro-batches per virtual stage, which are enough to see how a pipeline
// fills and empties.
constexpr int kEstimatedRounds = 3;
// The number of actions that an estimate may play to move layers.
constexpr std::int64_t kEstimateActions = 300'000;
// The arena rounds its segments up, which the problem's bytes leave out. Where a layout is too large by that,
// the search lowers the problem's capacity by the excess and starts again, this often at most.
constexpr int kRounds = 3;

Schedule schedule_of(const PlanRequest& request, int micro_batches) {
  const ParallelConfig& parallel = request.layout.parallel;
  const Placement placement = placement_of(parallel);
  if (!request.layout.training) return forward_only(placement, micro_batches);
  return make_schedule(parallel.pipeline_schedule, placement.ranks(), placement.chunks(), micro_batches);
}

PartitionProblem problem_of(const PlanRequest& request, const std::vector<StageHolds>& holds,
                            const LayerSearchOptions& options) {
  PartitionProblem problem = partition_problem(request, holds);
  const RecomputeLayout& recompute = request.layout.parallel.recompute;
  if (options.keep_recompute) problem.recompute = recompute.stages;
  if (options.keep_recompute && problem.recompute.empty())
    problem.recompute.assign(holds.size(), recompute.all);
  return problem;
}

RecomputeLayout recompute_layout(const PricedLayout& layout) {
  RecomputeLayout recompute;
  for (std::size_t s = 0; s < layout.layers.size(); ++s) {
    const StageRecompute& stage = layout.recompute[s];
    if (stage.selective)
      recompute.stages.emplace_back("selective");
    else if (stage.full_layers == 0)
      recompute.stages.emplace_back("none");
    else if (stage.full_layers == layout.layers[s])
      recompute.stages.emplace_back("full");
    else
      recompute.stages.emplace_back(std::int64_t{stage.full_layers});
  }
  const auto first = recompute.stages.front();
  const bool alike = std::all_of(recompute.stages.begin(), recompute.stages.end(),
                                 [&](const auto& entry) { return entry == first; });
  if (alike && std::holds_alternative<std::string>(first)) return {std::get<std::string>(first), {}};
  return recompute;
}

PlanRequest with_layout(PlanRequest request, const PricedLayout& layout, const LayerSearchOptions& options) {
  ParallelConfig& parallel = request.layout.parallel;
  parallel.pipeline_layout = {false, {layout.layers.begin(), layout.layers.end()}};
  if (!options.keep_recompute) parallel.recompute = recompute_layout(layout);
  return request;
}

class LayerSearch {
 public:
  LayerSearch(const PlanRequest& request, const LayerSearchOptions& options)
      : request_(request),
        options_(options),
        schedule_(schedule_of(request, request.layout.micro_batches)),
        costs_(unit_costs(request, process_grid(request.layout, request.ranks))) {}

  std::optional<Plan> run() {
    if (!lower()) return std::nullopt;
    for (int round = 0; round < kRounds; ++round) {
      excess_ = 0;
      const LayoutPricer pricer(problem_, schedule_);
      play_best(candidates(pricer), pricer);
      if (excess_ == 0) break;
      problem_.capacity -= excess_;
    }
    return std::move(best_);
  }

 private:
  std::int64_t quick_tries(const LayoutPricer& pricer) const {
    return std::clamp<std::int64_t>(options_.effort / pricer.actions(), 20, 2000);
  }
  std::int64_t simulated_tries(const LayoutPricer& pricer) const {
    return std::clamp<std::int64_t>(options_.effort / (50 * pricer.actions()), 3, 400);
  }

  // Lowers the schedule with any layout that fits, because the layout makes no difference to it, and takes
  // the problem's slots and buffers from there. Returns false where nothing fits.
  bool lower() {
    problem_ = problem_of(request_, stage_holds(schedule_), options_);
    const LayoutPricer pricer(problem_, schedule_);
    std::vector<PricedLayout> first;
    for (const std::vector<int>& layers : balanced_layouts(problem_, schedule_.placement))
      if (auto priced = pricer.price(layers)) first.push_back(std::move(*priced));
    if (first.empty()) return false;
    schedules_ = std::make_shared<const RunSchedules>(with_layout(request_, first.front(), options_).layout,
                                                      request_.ranks);
    problem_ = problem_of(request_, stage_holds(*schedules_), options_);
    return true;
  }

  // Returns the candidates, the one with the shortest critical path first.
  std::vector<PricedLayout> candidates(const LayoutPricer& pricer) const {
    std::vector<PricedLayout> all;
    const auto add = [&](const std::vector<int>& layers) {
      const bool known = std::any_of(all.begin(), all.end(),
                                     [&](const PricedLayout& other) { return other.layers == layers; });
      if (known) return;
      if (auto priced = pricer.price(layers)) all.push_back(std::move(*priced));
    };
    const auto sort = [&] {
      std::stable_sort(all.begin(), all.end(),
                       [](const auto& a, const auto& b) { return a.seconds < b.seconds; });
    };
    for (const std::vector<int>& layers : balanced_layouts(problem_, schedule_.placement)) add(layers);
    if (schedule_.name == "1f1b") {
      for (const Partition& partition : best_partitions(problem_, 8, options_.effort).best) {
        std::vector<int> layers;
        for (const StageChoice& stage : partition.stages) layers.push_back(stage.layers);
        add(layers);
      }
    }
    sort();
    const std::size_t begun = std::min<std::size_t>(all.size(), 2);
    for (std::size_t i = 0; i < begun; ++i) {
      const PricedLayout better = hill_climb(
          all[i], problem_, schedule_.placement,
          [&](const std::vector<int>& layers) { return pricer.price(layers); }, quick_tries(pricer) / 2);
      if (better.layers != all[i].layers) add(better.layers);
    }
    sort();
    return all;
  }

  void play_best(const std::vector<PricedLayout>& candidates, const LayoutPricer& pricer) {
    const PriceLayout simulated = [&](const std::vector<int>& layers) {
      auto priced = pricer.price(layers);
      return priced ? play(*priced) : std::nullopt;
    };
    std::int64_t tries = simulated_tries(pricer);
    std::optional<PricedLayout> start;
    for (const PricedLayout& candidate : candidates) {
      if (tries == 0) break;
      --tries;
      const auto played = play(candidate);
      if (played && (!start || played->seconds < start->seconds)) start = played;
      if (candidate.seconds > 1.05 * candidates.front().seconds && start) break;
    }
    if (start) static_cast<void>(hill_climb(*start, problem_, schedule_.placement, simulated, tries));
  }

  // Returns `layout` with the simulator's time; nothing where a rank needs more memory than it has.
  std::optional<PricedLayout> play(PricedLayout layout) {
    const auto known = played_.find(layout.layers);
    if (known != played_.end() && known->second.first == layout.recompute) {
      layout.seconds = known->second.second;
      return layout;
    }
    Plan plan = predict(with_layout(request_, layout, options_), schedules_, costs_);
    if (!plan.fits()) {
      for (const PipelineRankPlan& rank : plan.ranks)
        excess_ = std::max(excess_, rank.memory_bytes - request_.cluster.device.memory_bytes);
      return std::nullopt;
    }
    layout.seconds = plan.time.seconds;
    played_[layout.layers] = {layout.recompute, layout.seconds};
    if (!best_ || plan.time.seconds < best_->time.seconds) best_ = std::move(plan);
    return layout;
  }

  const PlanRequest request_;
  const LayerSearchOptions options_;
  const Schedule schedule_;
  const CostModel costs_;
  std::shared_ptr<const RunSchedules> schedules_;
  PartitionProblem problem_;
  std::map<std::vector<int>, std::pair<std::vector<StageRecompute>, double>> played_;
  std::int64_t excess_ = 0;  // most bytes by which a rank of any layout was too full in this round
  std::optional<Plan> best_;
};

}  // namespace

std::optional<Plan> search_layers(const PlanRequest& request, const LayerSearchOptions& options) {
  return LayerSearch(request, options).run();
}

std::optional<double> estimate_step(const PlanRequest& request, const LayerSearchOptions& options) {
  const int stages = placement_of(request.layout.parallel).stages();
  const Schedule schedule =
      schedule_of(request, std::min(request.layout.micro_batches, kEstimatedRounds * stages));
  const PartitionProblem problem = problem_of(request, stage_holds(schedule), options);
  const LayoutPricer pricer(problem, schedule);
  const PriceLayout price = [&](const std::vector<int>& layers) { return pricer.price(layers); };
  std::optional<PricedLayout> best;
  for (const std::vector<int>& layers : balanced_layouts(problem, schedule.placement)) {
    auto priced = pricer.price(layers);
    if (priced && (!best || priced->seconds < best->seconds)) best = std::move(priced);
  }
  if (!best) return std::nullopt;
  return hill_climb(std::move(*best), problem, schedule.placement, price, kEstimateActions / pricer.actions())
      .seconds;
}

}  // namespace headwater
