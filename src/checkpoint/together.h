#pragma once
// Work of which every rank does a part, and which succeeds on all ranks or fails on all.

#include "headwater/comm/communicator.h"

#include <functional>

namespace headwater {

// Runs `action` on this rank, then exchanges how it ended with all ranks, which must all call. Returns if it
// succeeded on every rank. Otherwise all ranks throw the same error, that of the lowest rank that failed. A
// CommError is thrown at once, without the exchange. `action` must not communicate: a rank whose action has
// failed would not take part.
void together(Communicator& ranks, const std::function<void()>& action);

}  // namespace headwater
