#pragma once
// The World of ranks that an MPI launcher started. It exists only in binaries that are built with MPI.

#include "headwater/comm/world.h"

namespace headwater::comm {

std::unique_ptr<World> make_mpi_world(const Launcher& launcher);

}  // namespace headwater::comm
