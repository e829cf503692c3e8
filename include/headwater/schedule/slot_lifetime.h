#pragma once
// Says when a slot is taken and when it is free again: the three lifetimes of lowering.h as a table. The
// lowering hands out slots by it, the checker holds programs to it, and the search counts slots with it.

#include "headwater/schedule/lowering.h"

#include <array>

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

}  // namespace headwater
