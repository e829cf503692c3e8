#pragma once
// Makes a layout faster by moving layers between stages.

#include "layout_price.h"

#include <functional>

namespace headwater {

using PriceLayout = std::function<std::optional<PricedLayout>(const std::vector<int>& layers)>;

// Moves one layer from one stage to another for as long as that helps, then two layers at once. It tries
// first to move layers from stages whose rank has most work to stages whose rank has least. Ends when no move
// helps, or after `tries` calls of `price`, which gives nothing for a layout that does not fit.
PricedLayout hill_climb(PricedLayout from, const PartitionProblem& problem, const Placement& placement,
                        const PriceLayout& price, std::int64_t tries);

}  // namespace headwater
