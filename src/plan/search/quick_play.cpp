#include "quick_play.h"

#include "headwater/base/error.h"
#include "headwater/base/index.h"

#include <algorithm>

namespace headwater {
StageSeconds& StageSeconds::operator+=(const StageSeconds& other) {
  forward += other.forward;
  input_gradient += other.input_gradient;
  weight_gradient += other.weight_gradient;
  return *this;
}

// A rank goes on while the input of its next action is there; ranks take turns until none can.
QuickPlay::QuickPlay(const Schedule& schedule) : ranks_(schedule.placement.ranks()) {
  const int stages = schedule.placement.stages();
  // Where in plays_ the output of (payload, micro-batch, stage) is made; -1: not yet.
  std::vector<std::int64_t> activations(as_index(std::int64_t{schedule.micro_batches} * stages), -1);
  std::vector<std::int64_t> gradients = activations;
  const auto at = [&](int micro_batch, int stage) {
    return as_index(std::int64_t{micro_batch} * stages + stage);
  };
  std::vector<std::size_t> next(as_index(ranks_), 0);
  for (bool moved = true; moved;) {
    moved = false;
    for (int rank = 0; rank < ranks_; ++rank) {
      const std::vector<Action>& actions = schedule.actions[as_index(rank)];
      for (std::size_t& i = next[as_index(rank)]; i < actions.size(); ++i) {
        const Action& action = actions[i];
        std::int64_t input = -1;
        if (action.kind == ActionKind::forward && action.stage > 0) {
          input = activations[at(action.micro_batch, action.stage - 1)];
          if (input < 0) break;
        } else if ((action.kind == ActionKind::backward || action.kind == ActionKind::input_gradient) &&
                   action.stage + 1 < stages) {
          input = gradients[at(action.micro_batch, action.stage + 1)];
          if (input < 0) break;
        }
        const auto here = static_cast<std::int64_t>(plays_.size());
        if (action.kind == ActionKind::forward)
          activations[at(action.micro_batch, action.stage)] = here;
        else if (action.kind != ActionKind::weight_gradient)
          gradients[at(action.micro_batch, action.stage)] = here;
        plays_.push_back({action.kind, rank, action.stage, input});
        moved = true;
      }
    }
  }
  for (int rank = 0; rank < ranks_; ++rank)
    HW_CHECK(next[as_index(rank)] == schedule.actions[as_index(rank)].size(),
             "schedule {} is impossible on rank {}", schedule.name, rank);
}

std::vector<double> QuickPlay::ends(const std::vector<StageSeconds>& stages,
                                    const std::vector<double>& links) const {
  const auto ranks = as_index(ranks_);
  std::vector<double> ends(plays_.size()), clocks(ranks, 0.0), before(ranks, 0.0), link_free(ranks, 0.0);
  for (std::size_t i = 0; i < plays_.size(); ++i) {
    const Play& play = plays_[i];
    const StageSeconds& stage = stages[as_index(play.stage)];
    const auto rank = as_index(play.rank);
    double& clock = clocks[rank];
    if (play.input >= 0) {
      const Play& sender = plays_[as_index(play.input)];
      double there = ends[as_index(play.input)];
      if (!links.empty() && sender.rank != play.rank) {
        double& free = link_free[as_index(sender.rank)];
        there = free =
            std::max({there, free, before[rank]}) + links[as_index(std::min(sender.stage, play.stage))];
      }
      clock = std::max(clock, there);
    }
    before[rank] = clock;
    switch (play.kind) {
      case ActionKind::forward: clock += stage.forward; break;
      case ActionKind::backward: clock += stage.backward(); break;
      case ActionKind::input_gradient: clock += stage.input_gradient; break;
      case ActionKind::weight_gradient: clock += stage.weight_gradient; break;
    }
    ends[i] = clock;
  }
  return clocks;
}

double QuickPlay::seconds(const std::vector<StageSeconds>& stages) const {
  const std::vector<double> all = ends(stages);
  return *std::max_element(all.begin(), all.end());
}

}  // namespace headwater
