#pragma once
// The CPU backend: matrix products by oneDNN, everything else by our own loops under OpenMP (where built with it).

#include "headwater/backend/backend.h"

namespace headwater {

struct CpuOptions {
  int threads = 1;
};

std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options);

// Whether the chip has a bf16 product (avx512_bf16 or AMX): then `training.dtype` auto is bf16. Without it bf16 is a
// storage format: products widen their operands to f32 block by block.
bool cpu_has_bf16();
// Best speed in FLOP/s of a large square product of oneDNN on this machine now, median of several: the yardstick that
// `bench step` prints beside its own.
double measure_matmul_flops(DType dtype, int threads);

}  // namespace headwater
