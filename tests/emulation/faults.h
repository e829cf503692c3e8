#pragma once
// Kernels that are right, each with one mistake that can be planted. `out` gets kFaultThreads floats: in[i]
// for thread i, in some roundabout way.

#include <cuda_runtime.h>

namespace headwater::faults {

inline constexpr int kFaultThreads = 64;

// What a kernel is given: on the device but for `host`, which points to memory of the host.
struct Buffers {
  const float* in;     // kFaultThreads, written
  const float* empty;  // kFaultThreads, never written
  float* host;
  float* out;
  float* sum;  // one element, written
};

using Run = void (*)(const Buffers& buffers, bool planted);

void copy_without_wait(const Buffers& buffers, bool planted);
void copy_with_too_few_waits(const Buffers& buffers, bool planted);
void copy_without_barrier(const Buffers& buffers, bool planted);
void buffer_filled_too_early(const Buffers& buffers, bool planted);
void missing_barrier(const Buffers& buffers, bool planted);
void missing_warp_barrier(const Buffers& buffers, bool planted);
void read_beyond_global(const Buffers& buffers, bool planted);
void write_beyond_shared(const Buffers& buffers, bool planted);
void more_shared_than_said(const Buffers& buffers, bool planted);
void more_shared_than_granted(const Buffers& buffers, bool planted);
void read_unwritten_global(const Buffers& buffers, bool planted);
void read_unwritten_shared(const Buffers& buffers, bool planted);
void host_pointer(const Buffers& buffers, bool planted);
void misaligned_vector(const Buffers& buffers, bool planted);
void misaligned_load_16(const Buffers& buffers, bool planted);
void barrier_in_a_branch(const Buffers& buffers, bool planted);
void two_barriers_met_as_one(const Buffers& buffers, bool planted);
void shuffle_without_a_lane(const Buffers& buffers, bool planted);
void named_barrier_of_too_many(const Buffers& buffers, bool planted);
void count_that_nobody_adds_to(const Buffers& buffers, bool planted);
void sum_without_atomic(const Buffers& buffers, bool planted);

}  // namespace headwater::faults
