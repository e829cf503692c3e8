#pragma once
// Tensors of a GPU travel by NCCL, those of the host as they did. Each call is queued on its group's stream,
// where it waits for the event that it was given; the engine's thread watches it as it watches every other
// call, so that deadlines, the flight recorder and the question who did not come are the same.
//
// A message that is not yet matched holds up its NCCL communicator, and must hold up nothing else: each pair
// of ranks that sends has one of its own, for each direction, connected when it is made; how much of the
// device each may take is in nccl_share.h.

#include "engine.h"
#include "nccl_group.h"
#include "nccl_share.h"

#include "headwater/comm/world.h"

namespace headwater::comm {

// Makes a group of ranks of the world, this one among them. `sender`: of a pair, as for NcclGroup::connect;
// -1: a group for collectives.
using MakeNcclGroup = std::function<std::shared_ptr<NcclGroup>(
    const std::vector<int>& ranks, const NcclId& id, Traffic::Collectives collectives, int sender)>;

// Collective over `ranks`; `host` joins them already.
std::unique_ptr<Communicator> make_nccl_communicator(Engine& engine, std::unique_ptr<Communicator> host,
                                                     const std::vector<int>& ranks, const Traffic& traffic,
                                                     const MakeNcclGroup& make);

}  // namespace headwater::comm
