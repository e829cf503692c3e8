#pragma once
// The communicator of a rank alone: it copies what must lie elsewhere, and records nothing.

#include "headwater/comm/communicator.h"

#include <memory>
#include <string_view>

namespace headwater::comm {

std::unique_ptr<Communicator> make_self_communicator(std::string_view name);

}  // namespace headwater::comm
