// V-Half (Qi, Wan, Amar, Lin, 2024, arXiv 2405.15362): the V of ZB-V, down the ranks and back up, with half
// of 1F1B's memory and half of its bubble.
//
// As in the paper a building block, the passes of one micro-batch on all ranks, is repeated every 6 units of
// time, which is what a rank computes for a micro-batch: two forwards, two input gradients and two weight
// gradients, each 1. The offsets from rank to rank are uniform, and their sum, 6, sets the memory: 2 on the
// way down the ranks and 1 on the way back up, for the forwards and again for the input gradients. With H =
// ⌊P / 2⌋ the block of micro-batch 0 has, on rank p,
//   forward down 2p, forward up 6H + 1 − p, input gradient up 6H + 2 + 2p, input gradient down 12H + 4 − p.
// No two of these are equal modulo 6, and each pass comes after the one whose message it reads. A stage's
// activations wait for their input gradient 12H + 4 − 3p units on the way down and 1 + 3p on the way up,
// together 12H + 5 on every rank, so that a rank never has more than 2H + 2 of them.
//
// The blocks fix the order of each rank's forwards and input gradients. A weight gradient runs where its rank
// would wait, and before a forward that would make the rank hold more than 2H + 2 chunks; one is due then, by
// the bound above. Where a rank would wait is found by running all ranks against each other in unit time.
// This is not how the paper goes on: it gives the weight gradients places in the block, and afterwards moves
// passes at the start and the end of the step. The constants at the turns of the V, which are the 6H and what
// stands beside it, are chosen here too.
//
// In that unit, for any number of micro-batches M and with K = min(M, H + 1):
// - a rank holds at most 2K chunks, K micro-batches of all its layers, where 1F1B's first rank holds P: a
//   share of (P + 2) / 2P where P is even, of (P + 1) / 2P where it is odd;
// - the bubble is 4P − 3 − 2K from three ranks on, less than half of 1F1B's 6 (P − 1) once M > H;
// - on two ranks the bubble is 3 for one micro-batch and 2 for more, and on one rank there is none.

#include "headwater/base/error.h"
#include "headwater/schedule/message.h"

#include <algorithm>
#include <array>
#include <deque>
#include <limits>

namespace headwater {
namespace {

constexpr int kBlockUnits = 6;

// The forwards and input gradients of a rank, in the order in which the blocks have them.
std::vector<Action> block_order(const Placement& placement, int rank, int micro_batches) {
  struct Pass {
    int unit;  // of the block of micro-batch 0
    ActionKind kind;
    int stage;
  };
  const int half = placement.ranks() / 2, down = placement.stage_of(rank, 0),
            up = placement.stage_of(rank, 1);
  std::array passes = {Pass{2 * rank, ActionKind::forward, down},
                       Pass{6 * half + 1 - rank, ActionKind::forward, up},
                       Pass{6 * half + 2 + 2 * rank, ActionKind::input_gradient, up},
                       Pass{12 * half + 4 - rank, ActionKind::input_gradient, down}};
  struct Timed {
    int unit;
    Action action;
  };
  std::vector<Timed> timed;
  for (int m = 0; m < micro_batches; ++m)
    for (const Pass& pass : passes)
      timed.push_back({pass.unit + kBlockUnits * m, {pass.kind, m, pass.stage}});
  std::ranges::sort(timed, {}, &Timed::unit);
  std::vector<Action> order;
  for (const Timed& pass : timed) order.push_back(pass.action);
  return order;
}

// Runs all ranks against each other in unit time and writes what each does. In every unit a rank takes the
// next pass of its block order, where that can run, else a weight gradient that is due, else it waits.
class ListScheduler {
 public:
  explicit ListScheduler(Schedule& schedule)
      : schedule_(schedule),
        most_held_(2 * (schedule.placement.ranks() / 2 + 1)),
        number_(schedule),
        made_(number_.count(), std::numeric_limits<int>::max()) {
    for (int rank = 0; rank < schedule.placement.ranks(); ++rank)
      ranks_.push_back({block_order(schedule.placement, rank, schedule.micro_batches), 0, {}, 0});
    schedule.actions.resize(ranks_.size());
  }

  void run() {
    const std::size_t whole = static_cast<std::size_t>(kBlockUnits * schedule_.micro_batches);
    const auto unfinished = [&](const std::vector<Action>& actions) { return actions.size() < whole; };
    for (int now = 0; std::ranges::any_of(schedule_.actions, unfinished); ++now)
      for (std::size_t rank = 0; rank < ranks_.size(); ++rank)
        step(ranks_[rank], schedule_.actions[rank], now);
  }

 private:
  struct Rank {
    std::vector<Action> order;   // without weight gradients
    std::size_t next;            // in `order`
    std::deque<Action> weights;  // weight gradients that are due, oldest first
    int held;                    // forwards whose weight gradient is still to come, on both chunks
  };

  // Whether the next pass of the block order can run in unit `now`: its input is made, and there is room for
  // what it keeps.
  bool ready(const Rank& rank, int now) const {
    if (rank.next == rank.order.size()) return false;
    const Action& action = rank.order[rank.next];
    if (action.kind == ActionKind::forward && rank.held == most_held_) return false;
    const auto input = input_of(action, schedule_.placement.stages());
    return !input || made_[number_(*input)] < now;
  }

  // Lets `rank` do one thing in unit `now`, and adds it to its list.
  void step(Rank& rank, std::vector<Action>& actions, int now) {
    if (ready(rank, now)) {
      const Action action = rank.order[rank.next++];
      if (const auto output = output_of(action, schedule_.placement.stages())) made_[number_(*output)] = now;
      if (action.kind == ActionKind::forward)
        ++rank.held;
      else
        rank.weights.push_back({ActionKind::weight_gradient, action.micro_batch, action.stage});
      actions.push_back(action);
    } else if (!rank.weights.empty()) {
      actions.push_back(rank.weights.front());
      rank.weights.pop_front();
      --rank.held;
    }
  }

  Schedule& schedule_;
  const int most_held_;
  const MessageNumbers number_;
  std::vector<int> made_;  // by number_: the unit in which the message was made
  std::vector<Rank> ranks_;
};

}  // namespace

Schedule v_half(int ranks, int micro_batches) {
  HW_CHECK(micro_batches >= 1, "{} micro-batches", micro_batches);
  Schedule schedule{"v-half", Placement(ranks, 2, true), micro_batches, true, {}};
  ListScheduler(schedule).run();
  return schedule;
}

}  // namespace headwater
