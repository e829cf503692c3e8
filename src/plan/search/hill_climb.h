#pragma once
// Makes a layout better by moving one layer from one stage to another, for as long as that helps; then two
// layers at once. From stages whose rank works most to those whose rank works least comes first, and moves
// end when `tries` are used up.

#include "layout_price.h"

#include <functional>

namespace headwater {

using PriceLayout = std::function<std::optional<PricedLayout>(const std::vector<int>& layers)>;

PricedLayout hill_climb(PricedLayout from, const PartitionProblem& problem, const Placement& placement,
                        const PriceLayout& price, std::int64_t tries);

}  // namespace headwater
