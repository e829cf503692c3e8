#pragma once
// Weights at the start of a run: each element a pure function of (seed, parameter name, global index), so
// that every layout starts from the same bits.

#include "headwater/stage/parameter_store.h"

namespace headwater {

// Fills masters and weights of everything that the store holds, with `threads` threads.
void initialize(ParameterStore& store, Backend& backend, std::uint64_t seed, int threads);

// For benchmarks, where only their distribution matters: 65,528 numbers of it, repeated by copies on the
// device. Billions of weights take seconds on the host otherwise. Equal on ranks that hold equal copies.
void initialize_by_copies(ParameterStore& store, Backend& backend);

}  // namespace headwater
