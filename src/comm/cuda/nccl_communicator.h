#pragma once
// A communicator that moves a GPU's tensors by NCCL, and hands those of the host to another communicator.
//
// The compute thread queues each call on its group's stream, where it waits for the event that it was given.
// The progress engine watches it like every other call, so that deadlines, the flight recorder and liveness
// polls are the same.
//
// A message that is not yet matched holds up its NCCL communicator, and must hold up nothing else. So each
// pair of ranks that exchanges messages has an NCCL communicator of its own for each direction, connected
// when it is made. How much of the device each may take is in nccl_share.h.

#include "nccl_group.h"
#include "nccl_share.h"
#include "progress_engine.h"

#include "headwater/comm/world.h"

namespace headwater::comm {

// Makes the group of `ranks`, which are ranks of the world with this one among them. If the group is for a
// pair's messages, `sender` is the member that sends (see NcclGroup::connect); for collectives it is −1.
using MakeNcclGroup = std::function<std::shared_ptr<NcclGroup>(
    const std::vector<int>& ranks, const NcclId& id, Traffic::Collectives collectives, int sender)>;

// All of `ranks` call it. `host` is a communicator of the same ranks for tensors of the host.
std::unique_ptr<Communicator> make_nccl_communicator(ProgressEngine& engine,
                                                     std::unique_ptr<Communicator> host,
                                                     const std::vector<int>& ranks, const Traffic& traffic,
                                                     const MakeNcclGroup& make);

}  // namespace headwater::comm
