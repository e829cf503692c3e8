#pragma once
// Finds where numbers stopped being finite, for the error that ends a run.

#include "headwater/train/engine.h"

#include <string>

namespace headwater {

// Names a parameter, its layer and its rank: the first of the model whose weight is not finite. Where all
// weights are finite, it names the last parameter whose gradient is not, which backward reached first.
// Collective; the text is the same on every rank.
std::string locate_not_finite(Engine& engine);

}  // namespace headwater
