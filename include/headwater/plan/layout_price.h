#pragma once
// What a list of layer counts costs, by the critical path: the recomputation that each rank needs, and the
// time of a step. And the lists with which a search begins.

#include "headwater/plan/rank_recompute.h"
#include "headwater/schedule/schedule.h"

#include <optional>
#include <vector>

namespace headwater {

struct PricedLayout {
  std::vector<int> layers;  // per virtual stage
  std::vector<StageRecompute> recompute;
  std::vector<double> loads;  // per rank: seconds of a micro-batch
  double seconds = 0.0;       // of a step
};

class LayoutPricer {
 public:
  // `problem` must outlive it. Times are for the schedule's micro-batches; where the problem has more, a step
  // takes so many times more of the slowest rank's.
  LayoutPricer(const PartitionProblem& problem, const Schedule& schedule);

  // Nothing: it does not fit.
  std::optional<PricedLayout> price(const std::vector<int>& layers) const;
  std::int64_t actions() const { return path_.actions(); }

 private:
  const PartitionProblem& problem_;
  const Placement placement_;
  const int micro_batches_;
  const RankRecompute recompute_;
  const CriticalPath path_;
};

// Layouts in which no rank's work is more than it must be: the layers that are free then taken from the first
// ranks, which hold the most; from the last; or from those with most work. Several chunks of a rank get equal
// shares. Empty: nothing fits.
std::vector<std::vector<int>> balanced_layouts(const PartitionProblem& problem, const Placement& placement);

}  // namespace headwater
