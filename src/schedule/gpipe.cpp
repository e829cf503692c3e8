// GPipe (Huang et al., NeurIPS 2019, arXiv 1811.06965): every forward, then every backward. The paper runs
// the backwards from the last micro-batch to the first; here they come in order, which takes the same time
// and memory.

#include "headwater/base/error.h"
#include "headwater/schedule/schedule.h"

namespace headwater {

Schedule gpipe(int ranks, int micro_batches) {
  HW_CHECK(micro_batches >= 1, "{} micro-batches", micro_batches);
  Schedule schedule{"gpipe", Placement(ranks, 1), micro_batches, true, {}};
  for (int rank = 0; rank < ranks; ++rank) {
    auto& actions = schedule.actions.emplace_back();
    for (const ActionKind kind : {ActionKind::forward, ActionKind::backward})
      for (int m = 0; m < micro_batches; ++m) actions.push_back({kind, m, rank});
  }
  return schedule;
}

}  // namespace headwater
