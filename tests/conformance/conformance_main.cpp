// Prints what each instruction of ptx.cuh gives, a line for each: its name, then its words. On a GPU:
//   headwater_conformance > tests/conformance/expected.tsv
// Exit 77 where CUDA shows none.

#include "instructions.h"

#include <cuda_runtime.h>

#include <cstdio>
#include <exception>

int main() {
  int devices = 0;
  if (const cudaError_t error = cudaGetDeviceCount(&devices); error != cudaSuccess || devices == 0) {
    std::fprintf(stderr, "headwater_conformance: no GPU: %s\n",
                 error != cudaSuccess ? cudaGetErrorString(error) : "none is visible");
    return 77;
  }
  try {
    for (const headwater::conformance::Outcome& outcome : headwater::conformance::all_outcomes()) {
      std::printf("%s", outcome.name.c_str());
      for (const std::uint32_t word : outcome.words) std::printf("\t%08x", word);
      std::printf("\n");
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "headwater_conformance: %s\n", error.what());
    return 1;
  }
  return 0;
}
