#include "headwater/base/error.h"
#include "headwater/schedule/schedule.h"

namespace headwater {

Schedule forward_only(int ranks, int micro_batches) {
  HW_CHECK(micro_batches >= 1, "{} micro-batches", micro_batches);
  Schedule schedule{"forward-only", Placement(ranks, 1), micro_batches, false, {}};
  for (int rank = 0; rank < ranks; ++rank) {
    std::vector<Action> actions;
    for (int m = 0; m < micro_batches; ++m) actions.push_back({ActionKind::forward, m, rank});
    schedule.actions.push_back(std::move(actions));
  }
  return schedule;
}

}  // namespace headwater
