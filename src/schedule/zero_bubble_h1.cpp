// ZB-H1 (Qi et al., ICLR 2024, arXiv 2401.10241, section 2.2): 1F1B with its backward split. Only the input
// gradient is awaited by another rank, so rank p puts off its weight gradients by p micro-batches: gradients
// reach the first rank sooner, and what is put off fills the end of the step, where 1F1B waits. Every rank
// then holds as many micro-batches as 1F1B's first.

#include "headwater/base/error.h"
#include "headwater/schedule/schedule.h"

#include <algorithm>

namespace headwater {

Schedule zero_bubble_h1(int ranks, int micro_batches) {
  HW_CHECK(micro_batches >= 1, "{} micro-batches", micro_batches);
  Schedule schedule{"zb-h1", Placement(ranks, 1), micro_batches, true, {}};
  for (int rank = 0; rank < ranks; ++rank) {
    auto& actions = schedule.actions.emplace_back();
    const int ahead = std::min(ranks - 1 - rank, micro_batches);  // forwards before the first pair
    for (int m = 0; m < ahead; ++m) actions.push_back({ActionKind::forward, m, rank});
    for (int m = 0; m < micro_batches; ++m) {
      if (m + ahead < micro_batches) actions.push_back({ActionKind::forward, m + ahead, rank});
      actions.push_back({ActionKind::input_gradient, m, rank});
      if (m >= rank) actions.push_back({ActionKind::weight_gradient, m - rank, rank});
    }
    for (int m = std::max(micro_batches - rank, 0); m < micro_batches; ++m)
      actions.push_back({ActionKind::weight_gradient, m, rank});
  }
  return schedule;
}

}  // namespace headwater
