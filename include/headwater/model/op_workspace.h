#pragma once
// Scratch memory that the ops of a backend take from its workspace, as formulas in bytes: ArenaLayout reserves it, the
// backend holds itself to it.

#include "headwater/model/activation_spec.h"

namespace headwater {

// The largest need of any op of the CPU catalogue on this model's layers, for `threads` threads.
std::int64_t cpu_workspace_bytes(const ModelSpec& model, std::int64_t tensor_ranks, BatchShape batch, Precision precision,
                                 int threads);

}  // namespace headwater
