#pragma once
// The CUDA backend: matrix products by cuBLASLt, everything else by the kernels in kernels/, on one stream of
// one GPU. Only in builds with HEADWATER_CUDA.
//
// Made and used by one thread. cuBLASLt keeps what it needs for itself outside the arena.

#include "headwater/backend/backend.h"
#include "headwater/backend/matmul_algorithms.h"

#include <string>

namespace headwater {

struct CudaOptions {
  Device device{Device::Kind::cuda, 0};
  std::string owner = "rank 0";  // for errors
  // the same inputs give the same bits; false lets attention's backward sum in any order
  bool deterministic = true;
  // what repeat() is given runs as CUDA graphs, whose memory lies outside the arena
  bool graphs = false;
  std::string matmul_algorithms = {};  // file (matmul_algorithms.h), or empty: the library's own rule
  // what a step copies from the host: so much may be under way before the host waits
  std::int64_t host_bytes = 0;
};

std::unique_ptr<Backend> make_cuda_backend(const CudaOptions& options);
std::int64_t cublaslt_version();                          // of the library that runs, as it states it: 130100
MatmulAlgorithms fastest_cuda_matmuls(Backend& backend);  // of one that make_cuda_backend made

}  // namespace headwater
