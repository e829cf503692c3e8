#pragma once
// The three lifetimes of lowering.h as a table, which the lowering hands out slots by and the checker holds
// them to.

#include "headwater/schedule/lowering.h"

#include <array>

namespace headwater {

struct SlotLifetime {
  const char* name;
  int Instruction::*slot;
  std::vector<int> RankProgram::*count;  // per chunk
  ActionKind first, last;                // held from the one to the end of the other

  // `backward`: whether the schedule has any.
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
