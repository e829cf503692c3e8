// 1F1B (PipeDream-Flush, arXiv 2006.09503; Narayanan et al., SC 2021): rank p runs min(P − 1 − p, M)
// forwards, then alternates, then runs the backwards that are left.

#include "headwater/base/error.h"
#include "headwater/schedule/schedule.h"

#include <algorithm>

namespace headwater {

Schedule one_forward_one_backward(int ranks, int micro_batches) {
  HW_CHECK(micro_batches >= 1, "{} micro-batches", micro_batches);
  Schedule schedule{"1f1b", Placement(ranks, 1), micro_batches, true, {}};
  for (int rank = 0; rank < ranks; ++rank) {
    std::vector<Action> actions;
    const int ahead = std::min(ranks - 1 - rank, micro_batches);  // forwards before the first pair
    for (int m = 0; m < ahead; ++m) actions.push_back({ActionKind::forward, m, rank});
    for (int m = 0; m < micro_batches; ++m) {
      if (m + ahead < micro_batches) actions.push_back({ActionKind::forward, m + ahead, rank});
      actions.push_back({ActionKind::backward, m, rank});
    }
    schedule.actions.push_back(std::move(actions));
  }
  return schedule;
}

}  // namespace headwater
