#include "headwater/schedule/checker.h"

#include "message.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <deque>

namespace headwater {
namespace {

// Found where a program goes wrong; check() turns it into the report's fault.
struct Fault {
  std::string text;
};

template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Fault{fmt::format(format, std::forward<Args>(args)...)};
}

std::size_t as_index(int i) { return static_cast<std::size_t>(i); }

// Send buffers go from empty to full (compute) to moving (start) to empty (wait), receive buffers from empty
// to moving to full to empty (compute); what is handed over within a rank fills a receive buffer at once.
struct Buffer {
  enum class State : std::uint8_t { empty, moving, full };
  State state = State::empty;
  bool matched = false;  // while moving: the other end has started too
  StageMessage message;  // unless empty
};

struct Progress {
  enum class Stage : std::uint8_t { nothing, forward, input_gradient, all };
  Stage done = Stage::nothing;
  int slot = -1;
};

struct Chunk {
  std::vector<int> slots;  // micro-batch, −1: free
  int in_use = 0, delayed = 0;
  std::array<std::vector<Buffer>, 2> sends, receives;  // by payload
};

struct Link {
  std::deque<Buffer*> sends, receives;  // started, not matched
};

// Plays all ranks. A rank runs until it must wait for a transfer whose other end has not started. Which rank
// runs first does not matter: a rank's steps are fixed, and it sees of the others only whether the next
// message on a link has been met. So one order of play that comes to its end proves them all.
class Execution {
 public:
  Execution(const LoweredSchedule& lowered, ScheduleReport& report)
      : lowered_(lowered),
        placement_(lowered.schedule.placement),
        report_(report),
        next_(as_index(placement_.ranks()), 0),
        links_(as_index(placement_.ranks() * placement_.ranks())),
        progress_(as_index(lowered.schedule.micro_batches * placement_.stages())) {
    const auto ranks = as_index(placement_.ranks()), chunks = as_index(placement_.chunks());
    report.in_flight.assign(ranks, std::vector<int>(chunks, 0));
    report.delayed_weights = report.in_flight;
    if (lowered.ranks.size() != ranks) fail("{} programs for {} ranks", lowered.ranks.size(), ranks);
    for (const RankProgram& program : lowered.ranks) {
      if (program.slots.size() != chunks || program.buffers.size() != chunks)
        fail("a program names slots of {} and buffers of {} chunks where there are {}", program.slots.size(),
             program.buffers.size(), chunks);
      auto& of_rank = chunks_.emplace_back(chunks);
      for (std::size_t c = 0; c < chunks; ++c) {
        const RankProgram::Buffers& counts = program.buffers[c];
        of_rank[c].slots.assign(as_index(program.slots[c]), -1);
        of_rank[c].sends[0].resize(as_index(counts.send_activation));
        of_rank[c].sends[1].resize(as_index(counts.send_gradient));
        of_rank[c].receives[0].resize(as_index(counts.receive_activation));
        of_rank[c].receives[1].resize(as_index(counts.receive_gradient));
      }
    }
  }

  void run() {
    for (bool moved = true; moved;) {
      moved = false;
      for (int rank = 0; rank < placement_.ranks(); ++rank)
        for (; !finished(rank) && step(rank); ++next_[as_index(rank)]) moved = true;
    }
    check_deadlock();
    check_complete();
  }

 private:
  bool finished(int rank) const { return next_[as_index(rank)] == program(rank).size(); }
  const std::vector<Instruction>& program(int rank) const {
    return lowered_.ranks[as_index(rank)].instructions;
  }
  const Instruction& current(int rank) const { return program(rank)[next_[as_index(rank)]]; }

  // False where the instruction must wait.
  bool step(int rank) {
    const Instruction& instruction = current(rank);
    try {
      switch (instruction.kind) {
        case Instruction::Kind::compute: compute(rank, instruction); return true;
        case Instruction::Kind::start_send: start(rank, instruction, true); return true;
        case Instruction::Kind::start_receive: start(rank, instruction, false); return true;
        case Instruction::Kind::wait_send: return wait(rank, instruction, true);
        case Instruction::Kind::wait_receive: return wait(rank, instruction, false);
      }
    } catch (const Fault& fault) {
      fail("rank {}, instruction {}, {}: {}", rank, next_[as_index(rank)], describe(instruction), fault.text);
    }
    return true;
  }

  static std::string describe(const Instruction& instruction) {
    const StageMessage message = message_of(instruction.transfer);
    switch (instruction.kind) {
      case Instruction::Kind::compute: return headwater::describe(instruction.action);
      case Instruction::Kind::start_send: return "start to send " + headwater::describe(message);
      case Instruction::Kind::wait_send: return "wait for the sending of " + headwater::describe(message);
      case Instruction::Kind::start_receive: return "start to receive " + headwater::describe(message);
      case Instruction::Kind::wait_receive: return "wait for " + headwater::describe(message);
    }
    return {};
  }

  Chunk& chunk(int rank, int stage) { return chunks_[as_index(rank)][as_index(placement_.chunk_of(stage))]; }

  Buffer& buffer(Chunk& chunk, bool send, Payload payload, int number) {
    auto& all = (send ? chunk.sends : chunk.receives)[payload == Payload::activation ? 0 : 1];
    if (number < 0 || number >= static_cast<int>(all.size()))
      fail("{} buffer {} of {}", send ? "send" : "receive", number, all.size());
    return all[as_index(number)];
  }

  void fill(Buffer& buffer, const StageMessage& message) {
    if (buffer.state != Buffer::State::empty)
      fail("it writes to a buffer that still holds {}", headwater::describe(buffer.message));
    buffer = {Buffer::State::full, false, message};
  }

  void expect(const Buffer& buffer, Buffer::State state, const StageMessage& message) {
    if (buffer.state == Buffer::State::empty) fail("its buffer is empty");
    if (buffer.message != message) fail("its buffer holds {}", headwater::describe(buffer.message));
    if (buffer.state != state)
      fail("{}",
           state == Buffer::State::full ? "its buffer is still moving" : "the transfer was not started");
  }

  void compute(int rank, const Instruction& instruction) {
    const Action& action = instruction.action;
    const int stages = placement_.stages();
    if (action.stage < 0 || action.stage >= stages || placement_.rank_of(action.stage) != rank)
      fail("the stage does not lie on this rank");
    if (action.micro_batch < 0 || action.micro_batch >= lowered_.schedule.micro_batches)
      fail("there are {} micro-batches", lowered_.schedule.micro_batches);
    Chunk& own = chunk(rank, action.stage);

    advance(rank, action, instruction.slot);
    if (const auto in = input_of(action, stages)) {
      Buffer& read = buffer(own, false, in->payload, instruction.input);
      expect(read, Buffer::State::full, *in);
      read.state = Buffer::State::empty;
    } else if (instruction.input != -1) {
      fail("it names input buffer {} but reads none", instruction.input);
    }
    if (const auto out = output_of(action, stages)) {
      const bool sends = placement_.rank_of(out->to_stage) != rank;
      fill(buffer(sends ? own : chunk(rank, out->to_stage), sends, out->payload, instruction.output), *out);
    } else if (instruction.output != -1) {
      fail("it names output buffer {} but fills none", instruction.output);
    }
  }

  // The order of one micro-batch on one stage, and its slot.
  void advance(int rank, const Action& action, int slot) {
    using Stage = Progress::Stage;
    Chunk& own = chunk(rank, action.stage);
    Progress& progress = progress_[as_index(action.micro_batch * placement_.stages() + action.stage)];
    const Stage needed = action.kind == ActionKind::forward           ? Stage::nothing
                         : action.kind == ActionKind::weight_gradient ? Stage::input_gradient
                                                                      : Stage::forward;
    if (progress.done > needed) fail("it has been computed before");
    if (progress.done < needed) fail("it comes too early");
    if (action.kind == ActionKind::forward) {
      take_slot(own, action.micro_batch, slot);
      progress.slot = slot;
    } else if (!lowered_.schedule.backward) {
      fail("the schedule is forward only");
    } else if (progress.slot != slot) {
      fail("it uses slot {}, its forward used slot {}", slot, progress.slot);
    }

    const auto at = as_index(placement_.chunk_of(action.stage));
    report_.in_flight[as_index(rank)][at] = std::max(report_.in_flight[as_index(rank)][at], own.in_use);
    if (action.kind == ActionKind::input_gradient) {
      progress.done = Stage::input_gradient;
      ++own.delayed;
      report_.delayed_weights[as_index(rank)][at] =
          std::max(report_.delayed_weights[as_index(rank)][at], own.delayed);
      return;
    }
    if (action.kind == ActionKind::weight_gradient) --own.delayed;
    progress.done = action.kind == ActionKind::forward ? Stage::forward : Stage::all;
    if (progress.done == Stage::all || !lowered_.schedule.backward) {
      own.slots[as_index(slot)] = -1;
      --own.in_use;
    }
  }

  void take_slot(Chunk& chunk, int micro_batch, int slot) {
    if (slot < 0 || slot >= static_cast<int>(chunk.slots.size()))
      fail("slot {} of {}", slot, chunk.slots.size());
    int& holder = chunk.slots[as_index(slot)];
    if (holder != -1) fail("slot {} still belongs to micro-batch {}", slot, holder);
    holder = micro_batch;
    ++chunk.in_use;
  }

  // The buffer of a transfer at this end, after a look at what the transfer says of itself.
  Buffer& buffer_of(int rank, const Transfer& transfer, bool send) {
    const int step = transfer.payload == Payload::activation ? 1 : -1;
    if (std::min(transfer.from_stage, transfer.to_stage) < 0 ||
        std::max(transfer.from_stage, transfer.to_stage) >= placement_.stages() ||
        transfer.to_stage != transfer.from_stage + step)
      fail("there is no such boundary");
    const int here = send ? transfer.from_stage : transfer.to_stage;
    const int there = send ? transfer.to_stage : transfer.from_stage;
    if (placement_.rank_of(here) != rank) fail("stage {} does not lie on this rank", here);
    if (placement_.rank_of(there) != transfer.peer || transfer.peer == rank)
      fail("its peer is rank {}, stage {} lies on rank {}", transfer.peer, there, placement_.rank_of(there));
    return buffer(chunk(rank, here), send, transfer.payload, transfer.buffer);
  }

  void start(int rank, const Instruction& instruction, bool send) {
    const Transfer& transfer = instruction.transfer;
    Buffer& mine = buffer_of(rank, transfer, send);
    if (send)
      expect(mine, Buffer::State::full, message_of(transfer));
    else
      fill(mine, message_of(transfer));
    mine.state = Buffer::State::moving;
    const int from = send ? rank : transfer.peer, to = send ? transfer.peer : rank;
    Link& link = links_[as_index(from * placement_.ranks() + to)];
    (send ? link.sends : link.receives).push_back(&mine);
    if (link.sends.empty() || link.receives.empty()) return;
    Buffer& sent = *link.sends.front();
    Buffer& received = *link.receives.front();
    if (sent.message != received.message)
      fail("rank {} sends {} where rank {} receives {}", from, headwater::describe(sent.message), to,
           headwater::describe(received.message));
    sent.matched = received.matched = true;
    link.sends.pop_front();
    link.receives.pop_front();
  }

  bool wait(int rank, const Instruction& instruction, bool send) {
    Buffer& mine = buffer_of(rank, instruction.transfer, send);
    expect(mine, Buffer::State::moving, message_of(instruction.transfer));
    if (mine.matched) mine = {send ? Buffer::State::empty : Buffer::State::full, false, mine.message};
    return mine.state != Buffer::State::moving;
  }

  void check_deadlock() const {
    std::string waits;
    for (int rank = 0; rank < placement_.ranks(); ++rank) {
      if (finished(rank)) continue;
      const int peer = current(rank).transfer.peer;
      waits += fmt::format("{}rank {} stands at instruction {}, {}, and needs rank {}{}",
                           waits.empty() ? "" : "; ", rank, next_[as_index(rank)], describe(current(rank)),
                           peer, finished(peer) ? ", which has finished" : "");
    }
    if (!waits.empty()) fail("deadlock: {}", waits);
  }

  void check_complete() const {
    using Stage = Progress::Stage;
    for (int m = 0; m < lowered_.schedule.micro_batches; ++m) {
      for (int stage = 0; stage < placement_.stages(); ++stage) {
        const Stage done = progress_[as_index(m * placement_.stages() + stage)].done;
        if (done == (lowered_.schedule.backward ? Stage::all : Stage::forward)) continue;
        const ActionKind missing = done == Stage::nothing   ? ActionKind::forward
                                   : done == Stage::forward ? ActionKind::backward
                                                            : ActionKind::weight_gradient;
        fail("rank {} never computes the {}", placement_.rank_of(stage),
             headwater::describe(Action{missing, m, stage}));
      }
    }
    // Every message that was filled has been read, and no message is left between two ranks: what was started
    // has been waited for, or its buffer is not empty.
    for (int rank = 0; rank < placement_.ranks(); ++rank)
      for (const Chunk& chunk : chunks_[as_index(rank)])
        for (const auto* buffers : {&chunk.sends[0], &chunk.sends[1], &chunk.receives[0], &chunk.receives[1]})
          for (const Buffer& buffer : *buffers)
            if (buffer.state != Buffer::State::empty)
              fail("rank {} ends with a buffer that still holds {}", rank,
                   headwater::describe(buffer.message));
  }

  const LoweredSchedule& lowered_;
  const Placement& placement_;
  ScheduleReport& report_;
  std::vector<std::size_t> next_;           // per rank: the instruction to run next
  std::vector<std::vector<Chunk>> chunks_;  // [rank][chunk]
  std::vector<Link> links_;                 // [from · ranks + to]
  std::vector<Progress> progress_;          // [micro-batch · stages + stage]
};

}  // namespace

ScheduleReport check(const LoweredSchedule& lowered) {
  ScheduleReport report;
  try {
    Execution(lowered, report).run();
  } catch (const Fault& fault) {
    report.fault = fault.text;
  }
  return report;
}

}  // namespace headwater
