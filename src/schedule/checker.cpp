#include "headwater/schedule/checker.h"

#include "fault.h"
#include "headwater/schedule/slot_lifetime.h"
#include "slot_tracker.h"

#include <algorithm>
#include <array>
#include <deque>

namespace headwater {
namespace {

std::size_t as_index(int i) { return static_cast<std::size_t>(i); }

// Send buffers go from empty to full (compute) to moving (start) to empty (wait), receive buffers from empty
// to moving to full to empty (the last compute that reads them); what is handed over within a rank fills a
// receive buffer at once.
struct Buffer {
  enum class State : std::uint8_t { empty, moving, full };
  State state = State::empty;
  bool matched = false;  // whether the other end of a moving buffer has started too
  StageMessage message;  // what it holds, unless empty
};

struct Buffers {
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
        placement_(lowered.source.placement),
        receive_lifetimes_(receive_lifetimes(lowered.keeps_gradients)),
        next_(as_index(placement_.ranks()), 0),
        links_(as_index(placement_.ranks() * placement_.ranks())),
        tracker_(lowered, report) {
    const auto ranks = as_index(placement_.ranks()), chunks = as_index(placement_.chunks());
    if (lowered.ranks.size() != ranks) fail("{} programs for {} ranks", lowered.ranks.size(), ranks);
    for (const RankProgram& program : lowered.ranks) {
      if (program.buffers.size() != chunks)
        fail("a program names buffers of {} chunks where there are {}", program.buffers.size(), chunks);
      auto& of_rank = buffers_.emplace_back(chunks);
      for (std::size_t c = 0; c < chunks; ++c) {
        const RankProgram::Buffers& counts = program.buffers[c];
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
    tracker_.check_complete();
    check_empty();
  }

 private:
  bool finished(int rank) const { return next_[as_index(rank)] == program(rank).size(); }
  const std::vector<Instruction>& program(int rank) const {
    return lowered_.ranks[as_index(rank)].instructions;
  }
  const Instruction& current(int rank) const { return program(rank)[next_[as_index(rank)]]; }

  // Takes the rank's next instruction. Returns false where it must wait.
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
    } catch (const ScheduleFault& fault) {
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

  Buffers& buffers_of(int rank, int stage) {
    return buffers_[as_index(rank)][as_index(placement_.chunk_of(stage))];
  }

  Buffer& buffer(Buffers& chunk, bool send, Payload payload, int number) {
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
    tracker_.compute(rank, instruction);
    Buffers& own = buffers_of(rank, action.stage);
    for (const ReceiveLifetime& lifetime : receive_lifetimes_) {
      const int number = instruction.*lifetime.buffer;
      const auto message = lifetime.message(action, stages);
      if (message && lifetime.read_by(action.kind)) {
        Buffer& read = buffer(own, false, lifetime.payload, number);
        expect(read, Buffer::State::full, *message);
        if (lifetime.ends_with(action.kind, lowered_.source.backward)) read.state = Buffer::State::empty;
      } else if (number != -1) {
        fail("it names receive buffer {} but reads none", number);
      }
    }
    if (const auto out = output_of(action, stages)) {
      const bool sends = placement_.rank_of(out->to_stage) != rank;
      fill(buffer(sends ? own : buffers_of(rank, out->to_stage), sends, out->payload, instruction.output),
           *out);
    } else if (instruction.output != -1) {
      fail("it names output buffer {} but fills none", instruction.output);
    }
  }

  // Returns the buffer of `transfer` at this rank's end. Fails where the transfer is none between
  // neighbouring stages, or one that this rank has no part in.
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
    return buffer(buffers_of(rank, here), send, transfer.payload, transfer.buffer);
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

  void check_empty() const {
    // Every message that was filled has been read, and no message is left between two ranks: what was started
    // has been waited for, or its buffer is not empty.
    for (int rank = 0; rank < placement_.ranks(); ++rank)
      for (const Buffers& chunk : buffers_[as_index(rank)])
        for (const auto* buffers : {&chunk.sends[0], &chunk.sends[1], &chunk.receives[0], &chunk.receives[1]})
          for (const Buffer& buffer : *buffers)
            if (buffer.state != Buffer::State::empty)
              fail("rank {} ends with a buffer that still holds {}", rank,
                   headwater::describe(buffer.message));
  }

  const LoweredSchedule& lowered_;
  const Placement& placement_;
  const std::array<ReceiveLifetime, 2> receive_lifetimes_;
  std::vector<std::size_t> next_;              // per rank: the instruction to run next
  std::vector<std::vector<Buffers>> buffers_;  // [rank][chunk]
  std::vector<Link> links_;                    // [from · ranks + to]
  SlotTracker tracker_;
};

}  // namespace

ScheduleReport check(const LoweredSchedule& lowered) {
  ScheduleReport report;
  try {
    Execution(lowered, report).run();
  } catch (const ScheduleFault& fault) {
    report.fault = fault.text;
  }
  return report;
}

}  // namespace headwater
