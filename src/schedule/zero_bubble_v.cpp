// ZB-V (Qi et al., arXiv 2401.10241, section 6, and 2405.15362): two chunks per rank, the second placed in
// reverse, so that the way of a micro-batch is a V: down the ranks and back up. The last stage lies on the
// first rank, where a gradient is ready as soon as the way up ends, and each rank holds early (long-lived)
// and late (short-lived) activations in a balance: no rank more than 2P chunks' worth, which is 1F1B's peak.
//
// On rank p, with `down` its stage on the way down, `up` on the way up, F I W forward, input and weight
// gradient:
//   fill     2(P − p) − 1 × F down          until the first micro-batch is back from the ranks below
//            p × (F up, F down)             until its gradient is back from the ranks above
//            (P − p) × (F up, I up, W up)   until its gradient is back from the ranks below
//   steady   (F down, I down, W down, F up, I up, W up) to the last F up
//   drain    p × (I down, I up), (P − p) × (I down, W down), then what is left of W up and W down
// This needs 2P − 1 micro-batches. Fewer run in the order of 2P − 1 without those that are missing, which
// nothing waits for.

#include "headwater/base/error.h"
#include "headwater/schedule/schedule.h"

#include <algorithm>
#include <array>

namespace headwater {
namespace {

// Writes one rank's list; each kind of action on each stage takes the micro-batches in order.
class Writer {
 public:
  Writer(std::vector<Action>& actions, int micro_batches)
      : actions_(actions), micro_batches_(micro_batches) {}

  struct Way {
    int stage = 0;
    int forwards = 0, input_gradients = 0, weight_gradients = 0;  // how many are written
  };
  void forward(Way& way) { write(ActionKind::forward, way.forwards, way.stage); }
  void input_gradient(Way& way) { write(ActionKind::input_gradient, way.input_gradients, way.stage); }
  void weight_gradient(Way& way) { write(ActionKind::weight_gradient, way.weight_gradients, way.stage); }
  void gradients(Way& way) {
    input_gradient(way);
    weight_gradient(way);
  }

 private:
  void write(ActionKind kind, int& micro_batch, int stage) {
    if (micro_batch < micro_batches_) actions_.push_back({kind, micro_batch, stage});
    ++micro_batch;
  }

  std::vector<Action>& actions_;
  const int micro_batches_;
};

}  // namespace

Schedule zero_bubble_v(int ranks, int micro_batches) {
  HW_CHECK(micro_batches >= 1, "{} micro-batches", micro_batches);
  Schedule schedule{"zb-v", Placement(ranks, 2, true), micro_batches, true, {}};
  const int all = std::max(micro_batches, 2 * ranks - 1);
  for (int rank = 0; rank < ranks; ++rank) {
    Writer write(schedule.actions.emplace_back(), micro_batches);
    Writer::Way down, up;
    down.stage = schedule.placement.stage_of(rank, 0);
    up.stage = schedule.placement.stage_of(rank, 1);
    for (int i = 0; i < 2 * (ranks - rank) - 1; ++i) write.forward(down);
    for (int i = 0; i < rank; ++i) {
      write.forward(up);
      write.forward(down);
    }
    for (int i = 0; i < ranks - rank; ++i) {
      write.forward(up);
      write.gradients(up);
    }
    while (up.forwards < all) {
      if (down.forwards < all) write.forward(down);
      write.gradients(down);
      write.forward(up);
      write.gradients(up);
    }
    for (int i = 0; i < rank; ++i) {
      write.input_gradient(down);
      write.input_gradient(up);
    }
    for (int i = 0; i < ranks - rank; ++i) write.gradients(down);
    while (up.weight_gradients < all) write.weight_gradient(up);
    while (down.weight_gradients < all) write.weight_gradient(down);
  }
  return schedule;
}

}  // namespace headwater
