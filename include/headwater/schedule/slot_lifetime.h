#pragma once
// Says when a slot is taken and when it is free again: the three lifetimes of lowering.h as a table, and
// which actions read what a stage has received. The lowering hands out slots and receive buffers by it, the
// checker holds programs to it, and the search counts slots with it.

#include "headwater/schedule/lowering.h"

#include <array>
#include <optional>

namespace headwater {

struct SlotLifetime {
  const char* name;
  int Instruction::*slot;
  std::vector<int> RankProgram::*count;  // how many slots each chunk needs
  ActionKind first, last;                // the slot is taken by `first` and free after `last`

  bool begins_with(ActionKind kind) const { return kind == first; }
  // Whether the slot is free after an action of that kind. A whole backward ends what either of its halves
  // ends; where `backward` is false, in a schedule of forwards alone, a forward ends what it has begun.
  bool ends_with(ActionKind kind, bool backward) const {
    const bool whole = kind == ActionKind::backward || (kind == ActionKind::forward && !backward);
    return kind == last || (whole && first == ActionKind::forward);
  }
};

inline constexpr std::array kSlotLifetimes = {
    SlotLifetime{"slot", &Instruction::slot, &RankProgram::slots, ActionKind::forward,
                 ActionKind::input_gradient},
    SlotLifetime{"weight slot", &Instruction::weight_slot, &RankProgram::weight_slots, ActionKind::forward,
                 ActionKind::weight_gradient},
    SlotLifetime{"delayed slot", &Instruction::delayed_slot, &RankProgram::delayed_slots,
                 ActionKind::input_gradient, ActionKind::weight_gradient},
};

// A receive buffer is taken before its message is there: by the start of the receive, or by the compute of
// this rank that fills it. It is free after the last of the actions that read it.
struct ReceiveLifetime {
  Payload payload;
  int Instruction::*buffer;
  ActionKind first, last;  // the actions that read it; a whole backward stands for both gradients

  bool read_by(ActionKind kind) const {
    return kind == first || kind == last || kind == ActionKind::backward;
  }
  bool ends_with(ActionKind kind, bool backward) const {
    return kind == last || kind == ActionKind::backward || (kind == first && !backward);
  }
  // The message that the buffer holds for an action on (micro-batch, stage); none at that end of the model.
  std::optional<StageMessage> message(const Action& action, int stages) const {
    return input_of({first, action.micro_batch, action.stage}, stages);
  }
};

constexpr std::array<ReceiveLifetime, 2> receive_lifetimes(bool keeps_gradients) {
  return {ReceiveLifetime{Payload::activation, &Instruction::activation, ActionKind::forward,
                          ActionKind::input_gradient},
          ReceiveLifetime{Payload::gradient, &Instruction::gradient, ActionKind::input_gradient,
                          keeps_gradients ? ActionKind::weight_gradient : ActionKind::input_gradient}};
}

}  // namespace headwater
