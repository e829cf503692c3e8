#pragma once
// What stands in the way of a plan that does not fit, and what would help.

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

// Empty where the plan fits. The worst first.
std::vector<Shortage> shortages(const Plan& plan);

// What changes of one key would do, each tried: "training.micro_batch_size 1: needs 70.2 GiB, fits". Those
// that fit first.
std::vector<std::string> remedies(const Plan& plan);

std::string gibibytes(std::int64_t bytes);  // "74.5 GiB"; "12.3 MiB" below a tenth of one

}  // namespace headwater
