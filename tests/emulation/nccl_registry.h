#pragma once
// The communicators of this process, and the thread that lets their devices go on.
//
// A GPU works whether or not its host calls CUDA; the emulation works only in calls. A rank that waits for
// another would wait for ever while that one's host waits for something else. So while there are
// communicators a thread looks after them: where a peer has come to a call, and it is still not over a few
// milliseconds later, the thread runs what the call waits for, and no more: what is not ordered before it
// stays undone. It sees to lost peers too.

#include "nccl_communicator.h"

namespace emulation::nccl {

// Handles are numbers that are never used again, so that one whose communicator is gone is refused.
ncclComm_t add_communicator(std::shared_ptr<Communicator> communicator);
std::shared_ptr<Communicator> find_communicator(ncclComm_t handle);    // null: none, or not any more
std::shared_ptr<Communicator> remove_communicator(ncclComm_t handle);  // not under the StreamLock
int blocks_on(int device);  // what those of this process on a device may take together

}  // namespace emulation::nccl
