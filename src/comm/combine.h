#pragma once
// Sums (or maxima) of everybody's part, element by element in rank order: the bits depend on the order of the
// ranks alone, not on how a buffer was cut or what arrived first. bf16 is summed in f32 and rounded once.

#include "headwater/comm/communicator.h"

#include <span>

namespace headwater::comm {

// `result` may be one of `parts`.
void combine(ReduceOp op, DType dtype, void* result, std::span<const void* const> parts,
             std::size_t elements);

}  // namespace headwater::comm
