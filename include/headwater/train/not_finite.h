#pragma once
// Where a number that is not finite first stands, when a run ends because of it.

#include "headwater/train/engine.h"

#include <string>

namespace headwater {

// Names the first parameter, in the order of the model, whose gradient or weight is not finite, its layer and its rank;
// collective, the same text on every rank.
std::string locate_not_finite(Engine& engine);

}  // namespace headwater
