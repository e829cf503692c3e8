#pragma once
// From a Schedule to what a rank executes: its actions, with each transfer's start and its wait apart, the
// buffer that each transfer uses, and the slots that hold what each micro-batch keeps.
//
// message.h says what crosses the boundary of two stages. Where both stages lie on one rank nothing is sent:
// the producing compute fills the receive buffer of the reading chunk itself. Receives start before the
// compute that precedes their use, and sends are waited for only when their buffer is needed again, so that
// transfers overlap compute. Starts never block; messages from one rank to another are matched in the order
// in which they start.
//
// What a micro-batch keeps on a virtual stage lives for three different times, and lies in three slots, each
// numbered per chunk from 0. A whole backward is both gradients at once: it frees the first two together and
// takes no third. In a schedule without backward a forward holds the first two while it runs.
//   slot          from the forward to the input gradient: what the input gradient alone needs of the forward
//   weight_slot   from the forward to the weight gradient: what the weight gradient needs of the forward
//   delayed_slot  from the input gradient to the weight gradient: what the one makes for the other

#include "headwater/schedule/message.h"

#include <vector>

namespace headwater {

// One message. Buffers are numbered per (rank, chunk, payload, direction) from 0; `buffer` is a send buffer
// of the chunk of from_stage where it is sent, a receive buffer of the chunk of to_stage where it is
// received.
struct Transfer {
  Payload payload = Payload::activation;
  int micro_batch = 0;
  int from_stage = 0, to_stage = 0;
  int peer = 0;  // pipeline rank at the other end
  int buffer = 0;
  bool operator==(const Transfer&) const = default;
};

inline StageMessage message_of(const Transfer& transfer) {
  return {transfer.payload, transfer.micro_batch, transfer.from_stage, transfer.to_stage};
}

struct Instruction {
  enum class Kind : std::uint8_t { compute, start_send, wait_send, start_receive, wait_receive };
  Kind kind = Kind::compute;
  // Of compute.
  Action action;
  // The slots of (micro-batch, stage) that it may touch; −1: none. A forward writes slot and weight_slot, a
  // backward reads both, an input gradient reads both and writes delayed_slot, a weight gradient reads the
  // last two.
  int slot = -1, weight_slot = -1, delayed_slot = -1;
  // The receive buffer of its chunk that it reads (activation for a forward, gradient for a backward) and
  // that is free after it. −1: none (ends of the model, weight gradients).
  int input = -1;
  // Where the next stage in its direction lies on another rank, the send buffer of its own chunk that it
  // fills; where that stage lies on this rank, the receive buffer of that stage's chunk, which that stage's
  // compute names as its `input`. −1: none.
  int output = -1;
  // Of the others.
  Transfer transfer;
};

struct RankProgram {
  std::vector<Instruction> instructions;
  std::vector<int> slots, weight_slots, delayed_slots;  // per chunk: how many of each are in use at most
  struct Buffers {
    int send_activation = 0, send_gradient = 0, receive_activation = 0, receive_gradient = 0;
  };
  std::vector<Buffers> buffers;  // per chunk
};

struct LoweredSchedule {
  Schedule source;  // the schedule that it was lowered from
  std::vector<RankProgram> ranks;
};

// The schedule must be possible and hold each action once; otherwise InternalError.
LoweredSchedule lower(const Schedule& schedule);

}  // namespace headwater
