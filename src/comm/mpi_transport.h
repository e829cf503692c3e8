#pragma once
// MPI as a transport: non-blocking messages on one of MPI's communicators, control messages on another.
//
// The thread that opens the transport is MPI's main thread, and the only one that calls MPI.

#include "transport.h"

#include <memory>

namespace headwater::comm {

// Initialises MPI. `launcher` is the launcher's name for errors, `ranks` how many ranks it started. Throws
// UserError if the library finds another number of them, which mostly means that the launcher belongs to
// another MPI.
std::unique_ptr<Transport> open_mpi_transport(const std::string& launcher, int ranks);

[[noreturn]] void abort_mpi(int exit_code);  // ends the job on all ranks

}  // namespace headwater::comm
