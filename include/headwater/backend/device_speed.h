#pragma once
// The best speeds of a backend's device, measured when they are asked for: the yardsticks of benchmarks. On
// the CPU they are those of cpu_backend.h, on a GPU the backend's own product and copy, on operands too large
// for its cache.
//
// The backend's thread calls these, with a workspace in use.

#include "headwater/backend/backend.h"

#include <functional>

namespace headwater {

// FLOP/s of a large square product, in `dtype` and with sums in f32.
double measure_matmul_flops(Backend& backend, DType dtype, int threads);
// Bytes per second, read and written.
double measure_memory_bandwidth(Backend& backend, int threads);

// Seconds of one call: the median over `runs` stretches, each of as many calls as take a few milliseconds,
// between which nobody waits. `call` gets the number of the call.
double time_calls(Backend& backend, int runs, const std::function<void(std::int64_t)>& call);

}  // namespace headwater
