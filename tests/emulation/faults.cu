#include "faults.h"

#include "ptx.cuh"

namespace headwater::faults {
namespace {

constexpr int kN = kFaultThreads;

__device__ int thread_number() { return static_cast<int>(threadIdx.x); }

// Four floats a thread of the first 16 by asynchronous copies; the planted fault leaves out the wait.
__global__ void without_wait(Buffers b, bool planted) {
  SHARED_ARRAY(float4, tile, [kN / 4]);
  const int t = thread_number();
  if (t < kN / 4) ptx::cp_async<16>(tile + t, b.in + 4 * t);
  ptx::cp_async_commit();
  if (!planted) ptx::cp_async_wait<0>();
  __syncthreads();
  b.out[t] = reinterpret_cast<const float*>(tile)[t];
}

// Two groups, each half of the input; both must have landed.
__global__ void with_too_few_waits(Buffers b, bool planted) {
  SHARED_ARRAY(float, tile, [kN]);
  const int t = thread_number();
  for (int half = 0; half < 2; ++half) {
    if (t / 32 == half) ptx::cp_async<4>(tile + t, b.in + t);
    ptx::cp_async_commit();
  }
  if (planted) {
    ptx::cp_async_wait<1>();
  } else {
    ptx::cp_async_wait<0>();
  }
  __syncthreads();
  b.out[t] = tile[t];
}

// A thread's wait is for its own copies; another thread reads them.
__global__ void without_barrier(Buffers b, bool planted) {
  SHARED_ARRAY(float, tile, [kN]);
  const int t = thread_number();
  ptx::cp_async<4>(tile + (kN - 1 - t), b.in + (kN - 1 - t));
  ptx::cp_async_commit();
  ptx::cp_async_wait<0>();
  if (!planted) __syncthreads();
  b.out[t] = tile[t];
}

// One buffer twice: the second copy may begin only when all have read the first.
__global__ void filled_too_early(Buffers b, bool planted) {
  SHARED_ARRAY(float, tile, [kN]);
  const int t = thread_number();
  for (int round = 0; round < 2; ++round) {
    ptx::cp_async<4>(tile + t, b.in + (t + 1 - round) % kN);
    ptx::cp_async_commit();
    ptx::cp_async_wait<0>();
    __syncthreads();
    b.out[t] = tile[round == 0 ? kN - 1 - t : t];
    if (!planted) __syncthreads();
  }
}

__global__ void no_barrier(Buffers b, bool planted) {
  SHARED_ARRAY(float, tile, [kN]);
  const int t = thread_number();
  tile[kN - 1 - t] = b.in[kN - 1 - t];
  if (!planted) __syncthreads();
  b.out[t] = tile[t];
}

__global__ void no_warp_barrier(Buffers b, bool planted) {
  SHARED_ARRAY(float, tile, [kN]);
  const int t = thread_number();
  tile[t ^ 1] = b.in[t ^ 1];
  if (!planted) __syncwarp();
  b.out[t] = tile[t];
}

__global__ void beyond_global(Buffers b, bool planted) {
  const int t = thread_number();
  float value = b.in[t];
  if (planted) value = b.in[t + 1] > 1e30F ? 0.0F : value;
  b.out[t] = value;
}

__global__ void beyond_shared(Buffers b, bool planted) {
  SHARED_ARRAY(float, tile, [kN]);
  SHARED_ARRAY(float, neighbour, [kN]);
  const int t = thread_number();
  neighbour[t] = b.in[t];
  for (int i = t; i < kN + (planted ? 1 : 0); i += kN) tile[i] = b.in[t];
  __syncthreads();
  b.out[t] = t % 2 == 0 ? tile[t] : neighbour[t];
}

__global__ void block_of_floats(Buffers b, bool) {
  SHARED_BLOCK(memory, kN * sizeof(float));
  const int t = thread_number();
  auto* const tile = reinterpret_cast<float*>(memory);
  tile[t] = b.in[t];
  b.out[t] = tile[t];
}

// With the array more than the 48 KiB that a block has unasked, and without it just that.
constexpr std::size_t kUnasked = 48 * 1024;

template <bool kPlanted>  // two kernels: what one is granted the other has not
__global__ void block_and_array(Buffers b, bool) {
  SHARED_BLOCK(memory, kUnasked);
  SHARED_ARRAY(float, tile, [kN]);
  const int t = thread_number();
  tile[t] = b.in[t];
  auto* const last = reinterpret_cast<float*>(memory + kUnasked) - kN;
  last[t] = tile[t];
  b.out[t] = last[t];
}

__global__ void unwritten_global(Buffers b, bool planted) {
  const int t = thread_number();
  b.out[t] = b.in[t];
  if (planted && t == 17) b.out[t] = b.empty[t];
}

__global__ void unwritten_shared(Buffers b, bool planted) {
  SHARED_ARRAY(float, tile, [kN]);
  const int t = thread_number();
  if (!planted || t != 0) tile[t] = b.in[t];
  __syncthreads();
  b.out[t] = tile[t];
}

__global__ void pointer_of_the_host(Buffers b, bool planted) {
  const int t = thread_number();
  b.out[t] = b.in[t];
  if (planted && t == 0) b.out[t] = *b.host;
}

__global__ void vector_off_by_one(Buffers b, bool planted) {
  const int t = thread_number();
  if (t >= kN / 4) return;
  const float4 v = *reinterpret_cast<const float4*>(b.in + 4 * t + (planted && t == 3 ? 1 : 0));
  b.out[4 * t] = v.x, b.out[4 * t + 1] = v.y, b.out[4 * t + 2] = v.z, b.out[4 * t + 3] = v.w;
}

__global__ void load_off_by_one(Buffers b, bool planted) {
  const int t = thread_number();
  if (t >= kN / 4) return;
  ptx::store_16(b.out + 4 * t, ptx::load_16(b.in + 4 * t + (planted && t == 3 ? 1 : 0)));
}

__global__ void branch(Buffers b, bool planted) {
  const int t = thread_number();
  b.out[t] = b.in[t];
  if (!planted || t < 48) __syncthreads();
}

__global__ void two_barriers(Buffers b, bool planted) {
  const int t = thread_number();
  b.out[t] = b.in[t];
  if (planted && t < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

__global__ void lane_left_out(Buffers b, bool planted) {
  const int t = thread_number();
  float value = b.in[t];
  if (!planted || t != 40) value = ptx::shuffle_xor(ptx::shuffle_xor(value, 1), 1);
  b.out[t] = value;
}

__global__ void too_many(Buffers b, bool planted) {
  const int t = thread_number();
  b.out[t] = b.in[t];
  if (t < 32) ptx::barrier_sync(1, planted ? 64 : 32);
}

__global__ void waited_for(Buffers b, bool planted) {
  const int t = thread_number();
  auto* const count = reinterpret_cast<int*>(b.sum);
  if (t == 0 && !planted) ptx::add_release(count, 1);
  __syncthreads();
  ptx::await(count, 1);
  b.out[t] = b.in[t];
}

__global__ void added(Buffers b, bool planted) {
  const int t = thread_number();
  if (blockIdx.x == 0) b.out[t] = b.in[t];
  if (t != 0) return;
  if (planted) {
    *b.sum += 1.0F;
  } else {
    atomicAdd(b.sum, 1.0F);
  }
}

void run(void (*kernel)(Buffers, bool), const Buffers& buffers, bool planted, unsigned blocks = 1,
         std::size_t shared_bytes = 0) {
  kernels::launch(kernel, dim3(blocks), dim3(kN), shared_bytes, nullptr, buffers, planted);
}

}  // namespace

void copy_without_wait(const Buffers& b, bool planted) { run(without_wait, b, planted); }
void copy_with_too_few_waits(const Buffers& b, bool planted) { run(with_too_few_waits, b, planted); }
void copy_without_barrier(const Buffers& b, bool planted) { run(without_barrier, b, planted); }
void buffer_filled_too_early(const Buffers& b, bool planted) { run(filled_too_early, b, planted); }
void missing_barrier(const Buffers& b, bool planted) { run(no_barrier, b, planted); }
void missing_warp_barrier(const Buffers& b, bool planted) { run(no_warp_barrier, b, planted); }
void read_beyond_global(const Buffers& b, bool planted) { run(beyond_global, b, planted); }
void write_beyond_shared(const Buffers& b, bool planted) { run(beyond_shared, b, planted); }
void more_shared_than_said(const Buffers& b, bool planted) {
  run(block_of_floats, b, planted, 1, (kN + (planted ? 1 : 0)) * sizeof(float));
}
// launch() asks for every SHARED_BLOCK; who goes past it has to.
void more_shared_than_granted(const Buffers& b, bool planted) {
  if (!planted) return run(block_and_array<false>, b, planted, 1, kUnasked);
  const auto kernel = block_and_array<true>;
  ::emulation::launch({reinterpret_cast<const void*>(kernel), dim3(1), dim3(kN), kUnasked}, nullptr,
                      [=] { kernel(b, true); });
}
void read_unwritten_global(const Buffers& b, bool planted) { run(unwritten_global, b, planted); }
void read_unwritten_shared(const Buffers& b, bool planted) { run(unwritten_shared, b, planted); }
void host_pointer(const Buffers& b, bool planted) { run(pointer_of_the_host, b, planted); }
void misaligned_vector(const Buffers& b, bool planted) { run(vector_off_by_one, b, planted); }
void misaligned_load_16(const Buffers& b, bool planted) { run(load_off_by_one, b, planted); }
void barrier_in_a_branch(const Buffers& b, bool planted) { run(branch, b, planted); }
void two_barriers_met_as_one(const Buffers& b, bool planted) { run(two_barriers, b, planted); }
void shuffle_without_a_lane(const Buffers& b, bool planted) { run(lane_left_out, b, planted); }
void named_barrier_of_too_many(const Buffers& b, bool planted) { run(too_many, b, planted); }
void count_that_nobody_adds_to(const Buffers& b, bool planted) { run(waited_for, b, planted); }
void sum_without_atomic(const Buffers& b, bool planted) { run(added, b, planted, 2); }

}  // namespace headwater::faults
