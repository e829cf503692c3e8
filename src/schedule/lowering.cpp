#include "headwater/schedule/lowering.h"

#include "headwater/base/error.h"
#include "headwater/schedule/slot_lifetime.h"
#include "receive_order.h"
#include "unit_times.h"

#include <algorithm>
#include <array>
#include <deque>
#include <utility>

namespace headwater {
namespace {

// A chunk's sends of one payload have this many buffers, and more only where these would not do: the transfer
// of one message overlaps the computing of the next.
constexpr std::size_t kSendBuffers = 2;

std::size_t as_index(int i) { return static_cast<std::size_t>(i); }

// Hands out the lowest free number, making a new one where all are taken.
class Numbers {
 public:
  int take() {
    const auto free = std::find(taken_.begin(), taken_.end(), false);
    const auto number = static_cast<int>(free - taken_.begin());
    if (free == taken_.end()) taken_.push_back(true);
    taken_[as_index(number)] = true;
    return number;
  }
  void give_back(int number) { taken_[as_index(number)] = false; }
  int count() const { return static_cast<int>(taken_.size()); }

 private:
  std::vector<bool> taken_;
};

// Writes the program of one rank, action by action.
class RankLowering {
 public:
  RankLowering(const Schedule& schedule, const UnitTimes& times, const ReceiveOrder& receives,
               bool keeps_gradients, int rank)
      : schedule_(schedule),
        times_(times),
        receives_(receives),
        receive_lifetimes_(receive_lifetimes(keeps_gradients)),
        rank_(rank),
        number_(schedule),
        received_(number_.count(), -1),
        held_(as_index(schedule.micro_batches * schedule.placement.chunks()), {-1, -1, -1}),
        chunks_(as_index(schedule.placement.chunks())) {}

  RankProgram lower() {
    const auto& actions = schedule_.actions[as_index(rank_)];
    for (int i = 0; i < static_cast<int>(actions.size()); ++i) {
      for (const StageMessage& message : receives_.before({rank_, i})) start_receive(message);
      lower_action({rank_, i}, actions[as_index(i)]);
    }
    for (const Transfer& transfer : unwaited_) emit(Instruction::Kind::wait_send, transfer);
    for (const Chunk& chunk : chunks_) {
      for (std::size_t life = 0; life < kSlotLifetimes.size(); ++life)
        (program_.*kSlotLifetimes[life].count).push_back(chunk.slots[life].count());
      program_.buffers.push_back({static_cast<int>(chunk.sends[0].size()),
                                  static_cast<int>(chunk.sends[1].size()), chunk.receives[0].count(),
                                  chunk.receives[1].count()});
    }
    return std::move(program_);
  }

 private:
  struct Chunk {
    std::array<Numbers, kSlotLifetimes.size()> slots;
    // By payload; of the send buffers the last message in each, oldest first.
    std::array<Numbers, 2> receives;
    std::array<std::deque<Transfer>, 2> sends;
  };

  Chunk& chunk_of(int stage) { return chunks_[as_index(schedule_.placement.chunk_of(stage))]; }

  void emit(Instruction::Kind kind, const Transfer& transfer) {
    Instruction instruction;
    instruction.kind = kind;
    instruction.transfer = transfer;
    program_.instructions.push_back(instruction);
  }

  Transfer transfer_of(const StageMessage& message, int peer, int buffer) const {
    return {message.payload, message.micro_batch, message.from_stage, message.to_stage, peer, buffer};
  }

  Numbers& receives_of(int stage, Payload payload) {
    return chunk_of(stage).receives[as_index(static_cast<int>(payload))];
  }

  // Takes and returns the receive buffer that will hold `message` until it has been read for the last time.
  int take_receive(const StageMessage& message) {
    const int buffer = receives_of(message.to_stage, message.payload).take();
    received_[number_(message)] = buffer;
    return buffer;
  }

  void start_receive(const StageMessage& message) {
    const int peer = schedule_.placement.rank_of(message.from_stage);
    emit(Instruction::Kind::start_receive, transfer_of(message, peer, take_receive(message)));
  }

  // Takes and returns a send buffer for `message`, which the action at `place` makes: the oldest where its
  // last message is out of the way by then, else a new one.
  int take_output(const StageMessage& message, ActionPlace place) {
    auto& sends = chunk_of(message.from_stage).sends[as_index(static_cast<int>(message.payload))];
    int buffer = static_cast<int>(sends.size());
    if (sends.size() >= kSendBuffers && sent_by(message_of(sends.front()), times_.start(place))) {
      const Transfer last = sends.front();
      sends.pop_front();
      unwaited_.erase(std::find(unwaited_.begin(), unwaited_.end(), last));
      emit(Instruction::Kind::wait_send, last);
      buffer = last.buffer;
    }
    sends.push_back(transfer_of(message, schedule_.placement.rank_of(message.to_stage), buffer));
    unwaited_.push_back(sends.back());
    return buffer;
  }

  // Whether both ends of `message` have started it by `time`.
  bool sent_by(const StageMessage& message, std::int64_t time) const {
    return times_.end(times_.route(message).producer) <= time && receives_.start(message) <= time;
  }

  // Names the slots of an action, taking those that it begins to hold and giving back those that it ends.
  void take_slots(const Action& action, Instruction& compute) {
    const int number = schedule_.placement.chunk_of(action.stage);
    auto& held = held_[as_index(action.micro_batch * schedule_.placement.chunks() + number)];
    for (std::size_t life = 0; life < kSlotLifetimes.size(); ++life) {
      const SlotLifetime& lifetime = kSlotLifetimes[life];
      Numbers& slots = chunks_[as_index(number)].slots[life];
      if (lifetime.begins_with(action.kind)) held[life] = slots.take();
      compute.*lifetime.slot = held[life];
      if (!lifetime.ends_with(action.kind, schedule_.backward)) continue;
      HW_CHECK(held[life] >= 0, "the {} comes too early", describe(action));
      slots.give_back(std::exchange(held[life], -1));
    }
  }

  void lower_action(ActionPlace place, const Action& action) {
    const Placement& placement = schedule_.placement;
    Instruction compute;
    compute.action = action;
    const auto input = input_of(action, placement.stages());
    const auto output = output_of(action, placement.stages());
    const bool sends = output && placement.rank_of(output->to_stage) != rank_;
    if (sends) compute.output = take_output(*output, place);
    if (output && !sends) compute.output = take_receive(*output);
    for (const ReceiveLifetime& lifetime : receive_lifetimes_)
      if (const auto message = lifetime.message(action, placement.stages());
          message && lifetime.read_by(action.kind))
        compute.*lifetime.buffer = received_[number_(*message)];
    if (input)
      if (const int peer = placement.rank_of(input->from_stage); peer != rank_)
        emit(Instruction::Kind::wait_receive, transfer_of(*input, peer, received_[number_(*input)]));
    take_slots(action, compute);
    program_.instructions.push_back(compute);
    for (const ReceiveLifetime& lifetime : receive_lifetimes_)
      if (const int buffer = compute.*lifetime.buffer;
          buffer >= 0 && lifetime.ends_with(action.kind, schedule_.backward))
        receives_of(action.stage, lifetime.payload).give_back(buffer);
    if (sends) emit(Instruction::Kind::start_send, unwaited_.back());
  }

  const Schedule& schedule_;
  const UnitTimes& times_;
  const ReceiveOrder& receives_;
  const std::array<ReceiveLifetime, 2> receive_lifetimes_;
  const int rank_;
  const MessageNumbers number_;
  RankProgram program_;
  std::vector<int> received_;  // by number_(message): the receive buffer that holds it
  std::vector<std::array<int, kSlotLifetimes.size()>> held_;  // slots, by micro-batch and chunk; −1: none
  std::vector<Chunk> chunks_;
  std::deque<Transfer> unwaited_;  // sends in the order of their start
};

}  // namespace

LoweredSchedule lower(const Schedule& schedule, bool keeps_gradients) {
  const UnitTimes times(schedule);
  const ReceiveOrder receives(schedule, times);
  LoweredSchedule lowered{schedule, {}, keeps_gradients};
  for (int rank = 0; rank < schedule.placement.ranks(); ++rank)
    lowered.ranks.push_back(RankLowering(schedule, times, receives, keeps_gradients, rank).lower());
  return lowered;
}

}  // namespace headwater
