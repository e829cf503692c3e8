#pragma once
// Lowering turns a Schedule into what each rank executes: its actions, the start and the wait of each
// transfer, the buffer that each transfer uses, and the slots that hold what each micro-batch keeps.
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
// - slot: from the forward to the input gradient, what the input gradient alone needs of the forward;
// - weight_slot: from the forward to the weight gradient, what the weight gradient needs of the forward;
// - delayed_slot: from the input gradient to the weight gradient, what the one makes for the other.
//
// What a stage receives is not copied into its slots: it stays in the receive buffer as long as the stage
// needs it. The stage's input, which the forward and the input gradient read, keeps its buffer as long as the
// micro-batch has its slot. The gradient of the stage's output is dead after the input gradient, unless the
// products of the weight gradient read it too (LoweredSchedule::keeps_gradients).

#include "headwater/schedule/message.h"

#include <vector>

namespace headwater {

// A transfer is a message that travels between two ranks, as one of them sees it. Buffers are numbered per
// (rank, chunk, payload, direction) from 0; the sender's `buffer` is a send buffer of the chunk of
// from_stage, the receiver's a receive buffer of the chunk of to_stage.
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
  // A compute has an action and what it works on; −1 stands for none.
  Action action;
  // The slots of (micro-batch, stage) that the action may touch. A forward writes slot and weight_slot, a
  // backward reads both, an input gradient reads both and writes delayed_slot, a weight gradient reads the
  // last two.
  int slot = -1, weight_slot = -1, delayed_slot = -1;
  // The receive buffers of its chunk that the action may read (slot_lifetime.h says which actions read which,
  // and after which they are free): the one that holds the stage's input, and the one that holds the gradient
  // of its output. The first stage has no input, the last no gradient.
  int activation = -1, gradient = -1;
  // The buffer that the action fills: where the stage that its message goes to lies on another rank, a send
  // buffer of its own chunk; where that stage lies on this rank, the receive buffer of that stage's chunk
  // which that stage's compute names as its `activation` or `gradient`.
  int output = -1;
  Transfer transfer;  // of every other kind of instruction
};

struct RankProgram {
  std::vector<Instruction> instructions;
  std::vector<int> slots, weight_slots, delayed_slots;  // how many each chunk needs
  struct Buffers {
    int send_activation = 0, send_gradient = 0, receive_activation = 0, receive_gradient = 0;
  };
  std::vector<Buffers> buffers;  // per chunk
};

struct LoweredSchedule {
  Schedule source;  // the schedule that it was lowered from
  std::vector<RankProgram> ranks;
  // Whether a gradient that a stage has received stays in its buffer until the weight gradient.
  bool keeps_gradients = false;
};

// Returns the program of every rank. Throws InternalError where the schedule is impossible or names an action
// twice.
LoweredSchedule lower(const Schedule& schedule, bool keeps_gradients = false);

}  // namespace headwater
