#pragma once
// Why a plan does not fit into the memory of its devices, and which changes would help.

#include "headwater/plan/simulate/plan.h"

#include <string>
#include <vector>

namespace headwater {

struct Shortage {
  int pipeline_rank = 0;
  std::int64_t needed = 0, available = 0;
  std::string text;  // "stage 0 needs 93.1 GiB of 74.5 GiB: 18.6 GiB short (activations 60.0 GiB,
                     // optimizer 20.1 GiB)"
};

// Returns one entry for each pipeline rank that needs more than it has, the worst first.
std::vector<Shortage> shortages(const Plan& plan);

// Tries changes of one key at a time and returns what each would need, the smallest first:
// "training.micro_batch_size 1: needs 70.2 GiB, fits".
std::vector<std::string> remedies(const Plan& plan);

std::string gibibytes(std::int64_t bytes);  // "74.5 GiB"; "12.3 MiB" below a tenth of one

}  // namespace headwater
