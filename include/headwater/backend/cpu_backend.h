#pragma once
// The CPU backend: matrix products by oneDNN, everything else by our own loops under OpenMP (where built with
// it).
//
// Made and used by one thread; it runs its ops on `threads` threads of that thread's OpenMP team. Several
// backends may live in one process, each in its own thread. oneDNN keeps scratch of its own, outside the
// arena.

#include "headwater/backend/backend.h"

namespace headwater {

struct CpuOptions {
  int threads = 1;
  // Treat bf16 as a storage format even where the chip could multiply it: products widen their operands to
  // f32 block by block. Always so on chips without a bf16 product.
  bool widen_bf16 = false;
};

std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options);

// Whether the chip has a bf16 product (avx512_bf16 or AMX): then `training.dtype` auto is bf16. Without it
// bf16 is a storage format.
bool cpu_has_bf16();
// Best speed in FLOP/s of a large square product of oneDNN on this machine now, median of several: the
// yardstick that `bench step` prints beside its own. Where the chip has no bf16 product, bf16 is measured as
// the f32 product that it becomes.
double measure_matmul_flops(DType dtype, int threads);
// Bytes read and written per second by a copy of memory too large for the caches, median of several: the
// yardstick of ops that only pass over their operands.
double measure_memory_bandwidth(int threads);

}  // namespace headwater
