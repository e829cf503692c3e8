#include "headwater/plan/simulate/simulator.h"

#include "headwater/base/error.h"
#include "headwater/base/index.h"

#include <algorithm>
#include <array>
#include <queue>
#include <tuple>

namespace headwater {
namespace {

struct Message {
  bool send_started = false, receive_started = false, moving = false;
  double end = 0.0;  // valid once it moves
  int waiting_sender = -1, waiting_receiver = -1;
};

// A rank goes on at `time`. Earlier wakes come first, at equal times the lower rank's.
struct Wake {
  double time;
  int rank;
  bool operator<(const Wake& other) const { return std::tie(other.time, other.rank) < std::tie(time, rank); }
};

class Simulator {
 public:
  Simulator(const LoweredSchedule& lowered, const std::vector<PassSeconds>& stages,
            const PipelineNetwork& network)
      : lowered_(lowered),
        placement_(lowered.source.placement),
        number_(lowered.source),
        stages_(stages),
        network_(network) {
    HW_CHECK(static_cast<int>(stages.size()) == placement_.stages(), "costs of {} stages for {}",
             stages.size(), placement_.stages());
    const auto ranks = as_index(placement_.ranks());
    next_.assign(ranks, 0);
    free_.assign(ranks, {});
    messages_.resize(number_.count());
    result_.ranks.resize(ranks);
  }

  Simulation run() {
    for (int rank = 0; rank < placement_.ranks(); ++rank) wakes_.push({0.0, rank});
    while (!wakes_.empty()) {
      const Wake wake = wakes_.top();
      wakes_.pop();
      go_on(wake.rank, wake.time);
    }
    for (int rank = 0; rank < placement_.ranks(); ++rank) {
      HW_CHECK(next_[as_index(rank)] == program(rank).size(), "rank {} waits for ever at instruction {}",
               rank, next_[as_index(rank)]);
      RankTimes& times = result_.ranks[as_index(rank)];
      times.waiting = times.end - times.busy.total();
      result_.end = std::max(result_.end, times.end);
    }
    return std::move(result_);
  }

 private:
  const std::vector<Instruction>& program(int rank) const {
    return lowered_.ranks[as_index(rank)].instructions;
  }

  Message& message(const Transfer& transfer) { return messages_[number_(message_of(transfer))]; }

  // Plays this rank's instructions from `now` on, until it computes or must wait.
  void go_on(int rank, double now) {
    auto& next = next_[as_index(rank)];
    for (; next < program(rank).size(); ++next) {
      const Instruction& i = program(rank)[next];
      if (i.kind == Instruction::Kind::compute) {
        ++next;
        wakes_.push({now + compute(rank, i.action, now), rank});
        return;
      }
      if (i.kind == Instruction::Kind::start_send || i.kind == Instruction::Kind::start_receive) {
        start(rank, i.transfer, i.kind == Instruction::Kind::start_send, now);
        continue;
      }
      Message& awaited = message(i.transfer);
      if (!awaited.moving) {
        (i.kind == Instruction::Kind::wait_send ? awaited.waiting_sender : awaited.waiting_receiver) = rank;
        return;
      }
      if (awaited.end > now) {
        wakes_.push({awaited.end, rank});
        return;
      }
    }
    result_.ranks[as_index(rank)].end = now;
  }

  double compute(int rank, const Action& action, double now) {
    const PassSeconds& stage = stages_[as_index(action.stage)];
    ActionSeconds seconds;
    switch (action.kind) {
      case ActionKind::forward: seconds = stage.forward; break;
      case ActionKind::input_gradient: seconds = stage.input_gradient; break;
      case ActionKind::weight_gradient: seconds = stage.weight_gradient; break;
      case ActionKind::backward:
        seconds = stage.input_gradient;
        seconds += stage.weight_gradient;
        break;
    }
    RankTimes& times = result_.ranks[as_index(rank)];
    times.busy += seconds;
    times.computes.push_back({action, now, now + seconds.total()});
    return seconds.total();
  }

  void start(int rank, const Transfer& transfer, bool send, double now) {
    Message& started = message(transfer);
    (send ? started.send_started : started.receive_started) = true;
    if (!started.send_started || !started.receive_started) return;
    const int from = send ? rank : transfer.peer, to = send ? transfer.peer : rank;
    const bool crosses = network_.crosses(from, to, placement_.ranks());
    double& out = free_[as_index(from)].out[crosses ? 1 : 0];
    double& in = free_[as_index(to)].in[crosses ? 1 : 0];
    const double begin = std::max({now, out, in});
    started.moving = true;
    started.end =
        begin + (crosses ? network_.inter_node : network_.intra_node).seconds(network_.message_bytes);
    out = in = started.end;
    result_.ranks[as_index(from)].bytes_sent += network_.message_bytes;
    Transfer received = transfer;
    received.peer = from;
    result_.transfers.push_back({received, to, begin, started.end});
    for (const int waiting : {started.waiting_sender, started.waiting_receiver})
      if (waiting >= 0) wakes_.push({started.end, waiting});
  }

  // When a device's links are free again: [0] inside its node, [1] between nodes.
  struct Links {
    std::array<double, 2> out{}, in{};
  };

  const LoweredSchedule& lowered_;
  const Placement& placement_;
  const MessageNumbers number_;
  const std::vector<PassSeconds>& stages_;
  const PipelineNetwork& network_;
  std::vector<std::size_t> next_;  // per rank: the instruction to run next
  std::vector<Links> free_;
  std::vector<Message> messages_;  // by number_
  std::priority_queue<Wake> wakes_;
  Simulation result_;
};

}  // namespace

double Simulation::bubble_fraction() const {
  if (end <= 0.0) return 0.0;
  double busy = 0.0;
  for (const RankTimes& times : ranks) busy += times.busy.total();
  return 1.0 - busy / (static_cast<double>(ranks.size()) * end);
}

Simulation simulate(const LoweredSchedule& lowered, const std::vector<PassSeconds>& stages,
                    const PipelineNetwork& network) {
  return Simulator(lowered, stages, network).run();
}

}  // namespace headwater
