#pragma once
// The communicator of a rank alone: nothing moves but what must lie elsewhere, nothing is recorded.

#include "headwater/comm/communicator.h"

#include <memory>
#include <string_view>

namespace headwater::comm {

std::unique_ptr<Communicator> make_self_communicator(std::string_view name);

}  // namespace headwater::comm
