#pragma once
// Which of cuBLASLt's algorithms are fastest for the products of a training step.
//
// Collective: every rank of the world calls it, on its compute thread, and gets the same.

#include "headwater/backend/matmul_algorithms.h"
#include "headwater/comm/world.h"
#include "headwater/config/run_config.h"

namespace headwater {

// One step on random tokens says which products there are; then each is timed. UserError where a rank has no
// GPU, or where the ranks' GPUs or libraries differ: a file is of one kind.
MatmulAlgorithms bench_matmul(World& world, const RunConfig& run);

}  // namespace headwater
