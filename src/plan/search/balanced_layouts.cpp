#include "balanced_layouts.h"

#include "headwater/base/index.h"

#include "rank_recompute.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace headwater {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Shares `layers` layers out over the stages of one rank: equally, with what is left over on the later
// stages. A stage inside the model gets at least one.
std::vector<int> shares(const PartitionProblem& problem, const std::vector<int>& stages, int layers) {
  std::vector<int> counts;
  for (int stage : stages) counts.push_back(problem.fewest(stage));
  for (int left = layers - std::accumulate(counts.begin(), counts.end(), 0); left > 0; --left) {
    auto least = std::min_element(counts.rbegin(), counts.rend());
    ++*least;
  }
  return counts;
}

// The load of a rank, which is the seconds that it takes for a micro-batch, by its number of layers. Layers
// are taken from the front of the model whatever the rank. The load is infinite where the layers do not fit
// even with full recomputation.
class RankLoads {
 public:
  RankLoads(const PartitionProblem& problem, const Placement& placement)
      : problem_(problem), recompute_(problem) {
    for (int rank = 0; rank < placement.ranks(); ++rank) {
      std::vector<int>& stages = stages_.emplace_back();
      for (int c = 0; c < placement.chunks(); ++c) stages.push_back(placement.stage_of(rank, c));
      int fewest = 0;
      for (int stage : stages) fewest += problem.fewest(stage);
      fewest_.push_back(fewest);
    }
  }

  int ranks() const { return static_cast<int>(stages_.size()); }
  int fewest(int rank) const { return fewest_[as_index(rank)]; }
  std::vector<int> layers_of_stages(int rank, int layers) const {
    return shares(problem_, stages_[as_index(rank)], layers);
  }
  const std::vector<int>& stages(int rank) const { return stages_[as_index(rank)]; }

  double load(int rank, int layers) const {
    const std::vector<int> counts = layers_of_stages(rank, layers);
    std::vector<RankChunk> chunks;
    for (std::size_t i = 0; i < counts.size(); ++i) chunks.push_back({stages(rank)[i], 0, counts[i], {}});
    if (!recompute_.choose(chunks)) return kInfinity;
    double seconds = 0.0;
    for (const RankChunk& chunk : chunks) seconds += recompute_.cost(chunk).seconds.total();
    return seconds;
  }

 private:
  const PartitionProblem& problem_;
  const RankRecompute recompute_;
  std::vector<std::vector<int>> stages_;
  std::vector<int> fewest_;
};

// Shares layers out to ranks by the loads that each rank can have.
class Balance {
 public:
  Balance(const PartitionProblem& problem, const Placement& placement)
      : placement_(placement), loads_(problem, placement), layers_(static_cast<int>(problem.layers.size())) {
    // A layout with more layers on one rank is not balanced.
    const int most = std::min(layers_, 4 * (layers_ / loads_.ranks() + 2));
    for (int rank = 0; rank < loads_.ranks(); ++rank) {
      std::vector<double>& of_rank = by_layers_.emplace_back();
      for (int n = loads_.fewest(rank); n <= most; ++n) {
        of_rank.push_back(loads_.load(rank, n));
        if (of_rank.back() == kInfinity && problem.recompute.empty()) break;  // more do not fit either
      }
    }
  }

  // Finds the least load limit under which the ranks together can take all layers, and returns how many
  // layers each rank can take at most under it: together at least as many as there are. Empty where there is
  // no such limit.
  std::vector<int> fullest() const {
    std::vector<double> limits;
    for (const std::vector<double>& of_rank : by_layers_)
      limits.insert(limits.end(), of_rank.begin(), of_rank.end());
    std::sort(limits.begin(), limits.end());
    const auto too_little = [&](double limit) { return limit < kInfinity && spare(most_under(limit)) < 0; };
    const auto least = std::partition_point(limits.begin(), limits.end(), too_little);
    return least == limits.end() || *least == kInfinity ? std::vector<int>{} : most_under(*least);
  }

  // By how many layers the ranks could take more than there are; negative where they are too few.
  int spare(const std::vector<int>& of_rank) const {
    return of_rank.empty() ? -1 : std::accumulate(of_rank.begin(), of_rank.end(), -layers_);
  }

  // Takes the spare layers from the ranks in that order, one layer of each in turn.
  std::vector<int> taken_in_order(std::vector<int> of_rank, const std::vector<int>& order) const {
    for (bool any = true; any && spare(of_rank) > 0;) {
      any = false;
      for (auto rank = order.begin(); rank != order.end() && spare(of_rank) > 0; ++rank)
        if (of_rank[as_index(*rank)] > loads_.fewest(*rank)) --of_rank[as_index(*rank)], any = true;
    }
    return of_rank;
  }

  std::vector<int> taken_from_most_work(std::vector<int> of_rank) const {
    while (spare(of_rank) > 0) {
      int most = -1;
      for (int rank = 0; rank < loads_.ranks(); ++rank) {
        if (of_rank[as_index(rank)] == loads_.fewest(rank)) continue;
        if (most < 0 || load(rank, of_rank) > load(most, of_rank)) most = rank;
      }
      if (most < 0) break;
      --of_rank[as_index(most)];
    }
    return of_rank;
  }

  // From layers of each rank to layers of each virtual stage.
  std::vector<int> of_stages(const std::vector<int>& of_rank) const {
    std::vector<int> counts(as_index(placement_.stages()));
    for (int rank = 0; rank < loads_.ranks(); ++rank) {
      const std::vector<int> own = loads_.layers_of_stages(rank, of_rank[as_index(rank)]);
      for (std::size_t i = 0; i < own.size(); ++i) counts[as_index(loads_.stages(rank)[i])] = own[i];
    }
    return counts;
  }

 private:
  double load(int rank, const std::vector<int>& of_rank) const {
    return by_layers_[as_index(rank)][as_index(of_rank[as_index(rank)] - loads_.fewest(rank))];
  }

  std::vector<int> most_under(double limit) const {
    std::vector<int> most;
    for (int rank = 0; rank < loads_.ranks(); ++rank) {
      const std::vector<double>& of_rank = by_layers_[as_index(rank)];
      const auto last =
          std::find_if(of_rank.rbegin(), of_rank.rend(), [&](double load) { return load <= limit; });
      if (last == of_rank.rend()) return {};
      most.push_back(loads_.fewest(rank) + static_cast<int>(of_rank.rend() - last) - 1);
    }
    return most;
  }

  const Placement& placement_;
  const RankLoads loads_;
  const int layers_;
  std::vector<std::vector<double>> by_layers_;
};

}  // namespace

std::vector<std::vector<int>> balanced_layouts(const PartitionProblem& problem, const Placement& placement) {
  const Balance balance(problem, placement);
  const std::vector<int> fullest = balance.fullest();
  std::vector<std::vector<int>> layouts;
  if (fullest.empty()) return layouts;
  std::vector<int> order(as_index(placement.ranks()));
  std::iota(order.begin(), order.end(), 0);
  const std::vector<int> backwards(order.rbegin(), order.rend());
  for (const std::vector<int>& of_rank :
       {balance.taken_in_order(fullest, order), balance.taken_in_order(fullest, backwards),
        balance.taken_from_most_work(fullest)}) {
    std::vector<int> layout = balance.of_stages(of_rank);
    if (balance.spare(of_rank) == 0 && std::find(layouts.begin(), layouts.end(), layout) == layouts.end())
      layouts.push_back(std::move(layout));
  }
  return layouts;
}

}  // namespace headwater
