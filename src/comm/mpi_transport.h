#pragma once
// MPI as a transport: non-blocking messages on one communicator, control messages on another. The thread that
// opens it is the one that MPI knows as its main thread, and the only one that calls MPI.

#include "transport.h"

#include <memory>

namespace headwater::comm {

// Initialises MPI; throws UserError where the library does not find the ranks that `launcher` started
// (another MPI's launcher, mostly).
std::unique_ptr<Transport> open_mpi_transport(const std::string& launcher, int ranks);

[[noreturn]] void abort_mpi(int exit_code);  // ends the job on all ranks

}  // namespace headwater::comm
