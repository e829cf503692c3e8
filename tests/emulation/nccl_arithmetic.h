#pragma once
// Sums and maxima of what ranks contribute.

#include "nccl_link.h"

namespace emulation::nccl {

std::size_t size_of(ncclDataType_t type);  // in bytes; 0: a type that is not here
bool reducible(ncclDataType_t type, ncclRedOp_t op);

// Element by element in the order of the parts, which is that of the ranks: bf16 in fp32 and rounded once,
// the others in their own type. A byte of the result counts as written where those of all parts do.
Bytes reduced(const std::vector<Bytes>& parts, ncclDataType_t type, ncclRedOp_t op);

}  // namespace emulation::nccl
