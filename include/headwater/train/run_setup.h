#pragma once
// What `auto` stands for on the machines of this run.

#include "headwater/plan/layout_request.h"

namespace headwater {

class World;

// Collective, and the same on all ranks: bf16 where every chip has it, the fewest threads that any rank can have.
Choices choose(const TrainingConfig& training, World& world);

}  // namespace headwater
