#pragma once
// Sums or maxima of several ranks' copies of a buffer, element by element.

#include "headwater/comm/communicator.h"

#include <span>

namespace headwater::comm {

// Combines `parts`, one copy of `elements` elements from each rank, into `result`, which may be one of them.
// bf16 is summed in f32 and rounded once. Every element is combined in the order of `parts`: the bits do not
// depend on how a buffer was cut or on what arrived first.
void combine(ReduceOp op, DType dtype, void* result, std::span<const void* const> parts,
             std::size_t elements);

}  // namespace headwater::comm
