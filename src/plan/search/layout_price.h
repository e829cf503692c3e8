#pragma once
// The price of a list of layer counts by the critical path: the recomputation that each rank needs, and the
// time of a step.

#include "headwater/schedule/schedule.h"

#include "rank_recompute.h"

#include <optional>
#include <vector>

namespace headwater {

struct PricedLayout {
  std::vector<int> layers;                // per virtual stage
  std::vector<StageRecompute> recompute;  // per virtual stage
  std::vector<double> loads;              // per rank: seconds of a micro-batch
  double seconds = 0.0;                   // of a step
};

class LayoutPricer {
 public:
  // `problem` must outlive the pricer. `schedule` may have fewer micro-batches than the problem; the price is
  // then that of the schedule plus
  //   (problem.micro_batches − schedule.micro_batches) × seconds of a micro-batch on the slowest rank.
  LayoutPricer(const PartitionProblem& problem, const Schedule& schedule);

  // Returns nothing where the layout does not fit.
  std::optional<PricedLayout> price(const std::vector<int>& layers) const;
  std::int64_t actions() const { return path_.actions(); }  // that a call of price() looks at

 private:
  const PartitionProblem& problem_;
  const Placement placement_;
  const int micro_batches_;
  const RankRecompute recompute_;
  const CriticalPath path_;
};

}  // namespace headwater
