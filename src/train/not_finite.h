#pragma once
// Where a number that is not finite first stands, when a run ends because of it.

#include "headwater/train/engine.h"

#include <string>

namespace headwater {

// Names a parameter, its layer and its rank: the first, in the order of the model, whose weight is not
// finite; where all are finite, the last whose gradient is not, for backward came to it first. Collective,
// the same text on every rank.
std::string locate_not_finite(Engine& engine);

}  // namespace headwater
