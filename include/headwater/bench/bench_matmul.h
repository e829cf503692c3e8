#pragma once
// Measures which of cuBLASLt's algorithms are fastest for the matrix products of a training step.
//
// Collective: every rank of the world calls it, on its compute thread, and gets the same.

#include "headwater/backend/matmul_algorithms.h"
#include "headwater/comm/world.h"
#include "headwater/config/run_config.h"

namespace headwater {

// Finds the products by one step on random tokens, then times the algorithms for each. UserError where a rank
// has no GPU, or where the ranks' GPUs or libraries differ, because the result holds for one kind.
MatmulAlgorithms bench_matmul(World& world, const RunConfig& run);

}  // namespace headwater
