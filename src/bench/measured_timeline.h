#pragma once
// The timeline of a step that was recorded.

#include "headwater/plan/simulate/timeline.h"
#include "headwater/train/engine.h"

namespace headwater {

// Returns the recordings of all pipeline ranks of the first replica. Collective, and the same on every rank;
// `recording` is this rank's.
Timeline measured_timeline(Engine& engine, const Recording& recording);

}  // namespace headwater
