#pragma once
// Checks that weights which several ranks hold are the same bits on all of them: on the replicas of the data
// axis, at both ends of a tied embedding, and where tensor ranks hold a weight whole. Each rank updates its
// copy itself and sends it to nobody, so that a bit that flips in one rank's memory would stay and spoil what
// all ranks learn.

#include "headwater/train/engine.h"

#include <cstdint>

namespace headwater {

// Compares hashes of the weights over all ranks, and of fp32 masters where each rank holds them whole.
// Returns how many tensors, or shards, more than one rank holds. SystemError, the same on every rank, where
// one differs: it names the parameter, the ranks, and `step`. Collective.
std::int64_t check_replicas(Engine& engine, std::int64_t step);

}  // namespace headwater
