#pragma once
// Whether weights that several ranks hold are the same bits on all of them: replicas of the data axis, both
// ends of a tied embedding, what tensor ranks hold whole. They are made alike step after step and never sent,
// so that a bit that flips in one rank's memory would stay, and spoil what all learn.

#include "headwater/train/engine.h"

#include <cstdint>

namespace headwater {

// Compares hashes of the weights, and of fp32 masters where each rank holds them whole, over all ranks. Gives
// how many tensors, or shards, have more than one holder. Where one differs: SystemError, the same on every
// rank, that names the parameter and the ranks; `step` is for that. Collective.
std::int64_t check_replicas(Engine& engine, std::int64_t step);

}  // namespace headwater
