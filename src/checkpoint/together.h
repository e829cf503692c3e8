#pragma once
// Work that every rank does a part of and that holds for all ranks or for none. Private to this room.

#include "headwater/comm/communicator.h"

#include <functional>

namespace headwater {

// Runs `action` on this rank and learns how it went on every rank: all ranks go on, or all throw the same
// error, the one of the first rank that failed. Nothing is waited for that a rank which failed would not do.
// CommError passes through.
void together(Communicator& ranks, const std::function<void()>& action);

}  // namespace headwater
