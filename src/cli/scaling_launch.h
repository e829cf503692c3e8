#pragma once
// Starts the runs of a scaling measurement. Each is `headwater bench step --json` on a number of ranks,
// started by mpirun from here or by commands that are written for Slurm.

#include "child_process.h"
#include "scaling.h"

#include <map>
#include <string>
#include <vector>

namespace headwater {

struct ScalingLaunch {
  std::string launcher;  // command before `-n RANKS`; empty: mpirun on this host
  std::vector<std::string>
      bench_step;  // "bench step" with the config, overrides and steps that all runs share
  std::vector<ScalingLayout> layouts;
  int threads = 1;      // of each rank
  int cores = 1;        // of this host, that we may use
  std::string results;  // folder for what each run printed; may be empty
};

// Whether mpirun here would put more than one rank on a core.
bool oversubscribes(const ScalingLaunch& launch, int ranks);
// Takes the run's speed from the folder of results where it is there already. Otherwise it makes the run and
// keeps its JSON in that folder. Throws what the run says of its failure.
RunSpeed measure(const ScalingLaunch& launch, const ScalingRun& run);
// Returns a script that submits one Slurm job per run, whose results go where measure() finds them. With
// `ranks_per_node` 0 Slurm decides.
std::string slurm_script(const ScalingLaunch& launch, const std::vector<ScalingRun>& runs, int ranks_per_node,
                         const std::string& afterwards);

}  // namespace headwater
