#include "critical_path.h"

#include "headwater/base/index.h"

#include <algorithm>

namespace headwater {

StageSeconds& StageSeconds::operator+=(const StageSeconds& other) {
  forward += other.forward;
  input_gradient += other.input_gradient;
  weight_gradient += other.weight_gradient;
  return *this;
}

CriticalPath::CriticalPath(const Schedule& schedule)
    : ranks_(schedule.placement.ranks()), order_(dependency_order(schedule)) {}

std::vector<double> CriticalPath::ends(const std::vector<StageSeconds>& stages,
                                       const std::vector<double>& links) const {
  const auto ranks = as_index(ranks_);
  std::vector<double> ends(order_.size()), clocks(ranks, 0.0), before(ranks, 0.0), link_free(ranks, 0.0);
  for (std::size_t i = 0; i < order_.size(); ++i) {
    const OrderedAction& ordered = order_[i];
    const StageSeconds& stage = stages[as_index(ordered.action.stage)];
    const auto rank = as_index(ordered.rank);
    double& clock = clocks[rank];
    if (ordered.input >= 0) {
      const OrderedAction& sender = order_[as_index(ordered.input)];
      double there = ends[as_index(ordered.input)];
      if (!links.empty() && sender.rank != ordered.rank) {
        double& free = link_free[as_index(sender.rank)];
        there = free = std::max({there, free, before[rank]}) +
                       links[as_index(std::min(sender.action.stage, ordered.action.stage))];
      }
      clock = std::max(clock, there);
    }
    before[rank] = clock;
    switch (ordered.action.kind) {
      case ActionKind::forward: clock += stage.forward; break;
      case ActionKind::backward: clock += stage.backward(); break;
      case ActionKind::input_gradient: clock += stage.input_gradient; break;
      case ActionKind::weight_gradient: clock += stage.weight_gradient; break;
    }
    ends[i] = clock;
  }
  return clocks;
}

double CriticalPath::seconds(const std::vector<StageSeconds>& stages) const {
  const std::vector<double> all = ends(stages);
  return *std::max_element(all.begin(), all.end());
}

}  // namespace headwater
