#pragma once
// Where each tensor of a unit lies in each pass over it: in one of its micro-batch's slots, by its lifetime
// (schedule/lowering.h names the three kinds of slot), or in the scratch that all units share. The one place
// that says so: arena_layout() adds up by it, and stage/slot_memory.h takes the tensors by it.

#include "headwater/model/activation_spec.h"

namespace headwater {

// A backward is taken whole, or as an input gradient whose weight gradient follows later; that one reads kept
// tensors only and has no pass of its own here.
enum class UnitPass : std::uint8_t { forward, backward, input_gradient };

enum class Home : std::uint8_t {
  none,              // the pass does not know it, or it is the caller's
  slot,              // from forward to the input gradient
  weight_slot,       // from forward to the weight gradient
  delayed_slot,      // from the input gradient to the weight gradient
  pass_scratch,      // scratch for as long as the pass runs
  forward_scratch,   // scratch of forward, also where backward computes it again first; shares memory with
  backward_scratch,  // scratch of backward
};

Home home_of(const ActivationSpec& spec, Recompute recompute, UnitPass pass);

}  // namespace headwater
