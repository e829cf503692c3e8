#pragma once
// The world of ranks that an MPI launcher started. Exists in binaries with MPI only.

#include "headwater/comm/world.h"

namespace headwater::comm {

std::unique_ptr<World> make_mpi_world(const Launcher& launcher);

}  // namespace headwater::comm
