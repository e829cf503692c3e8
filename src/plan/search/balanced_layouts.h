#pragma once
// The layouts with which a search for layer counts begins.

#include "headwater/schedule/placement.h"

#include "stage_costs.h"

#include <vector>

namespace headwater {

// Returns up to three lists of layer counts, one count per virtual stage. In each of them the slowest rank is
// as fast as the memory allows. They differ in where the other ranks, which could hold more layers than there
// are, hold fewer: on the first ranks, which keep most micro-batches; on the last; or on those with most
// work. The chunks of a rank get equal shares. Empty where no layout fits.
std::vector<std::vector<int>> balanced_layouts(const PartitionProblem& problem, const Placement& placement);

}  // namespace headwater
