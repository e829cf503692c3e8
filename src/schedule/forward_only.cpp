// The schedule of an evaluation. With all stages alike, micro-batch m enters at a time of its own and moves
// on by one stage per unit of time: on a looped placement a round of P micro-batches enters in P successive
// units and then passes P · chunks units on the ranks before the next round does; on a folded one each enters
// 2 units after the last, as a rank's two stages are an odd number apart. No rank then has two things to do
// at once, and after the first round none has nothing.

#include "headwater/base/error.h"
#include "headwater/schedule/schedule.h"

#include <algorithm>

namespace headwater {

Schedule forward_only(const Placement& placement, int micro_batches) {
  HW_CHECK(micro_batches >= 1, "{} micro-batches", micro_batches);
  Schedule schedule{"forward-only", placement, micro_batches, false, {}};
  const int ranks = placement.ranks();
  const auto time = [&](const Action& action) {
    const int m = action.micro_batch;
    const int entry = placement.folded() ? 2 * m : m / ranks * placement.stages() + m % ranks;
    return entry + action.stage;
  };
  for (int rank = 0; rank < ranks; ++rank) {
    auto& actions = schedule.actions.emplace_back();
    for (int chunk = 0; chunk < placement.chunks(); ++chunk)
      for (int m = 0; m < micro_batches; ++m)
        actions.push_back({ActionKind::forward, m, placement.stage_of(rank, chunk)});
    std::sort(actions.begin(), actions.end(),
              [&](const Action& a, const Action& b) { return time(a) < time(b); });
  }
  return schedule;
}

}  // namespace headwater
