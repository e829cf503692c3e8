#pragma once
// How the emulation runs, for tests. No single way finds all faults: docs/cuda.md says which shows what. The
// environment variable HEADWATER_EMULATION ("copies=early,order=random,streams=early,check=on,seed=7") gives
// the first value.

#include <cstdint>
#include <string>

namespace emulation {

struct Settings {
  enum class Time { late, early, random };
  Time copies = Time::late;   // when cp.async lands: at its wait (NaN until then), at once, or either
  bool shuffled = false;      // order of a block's threads: by index, or random
  bool check = false;         // every access of a kernel: bounds, initialised, alignment, races
  Time streams = Time::late;  // when a stream's work runs: when someone waits for it, at once, or either
  std::uint64_t seed = 1;
  int devices = 8;
  std::uint64_t memory = 16ULL << 30;  // bytes of a device
  std::uint64_t cublaslt = 120000;     // the version that the library says it is
  bool profiler = false;               // one looks on, and prints the ranges that it hears of
  int threads = 1;  // of the CPU, over which the blocks of a launch are shared out; one where `check` is on
};

// Read by each launch. To be changed by one thread, while nothing is under way.
Settings& settings();

// What a kernel or a call did wrong since the last time this was asked, one line each; empty if nothing. The
// runtime gives cudaErrorLaunchFailure from then on, as CUDA does, until this is asked.
std::string take_fault();

}  // namespace emulation
