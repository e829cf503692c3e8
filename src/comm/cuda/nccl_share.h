#pragma once
// How many of a GPU's multiprocessors each NCCL communicator may take.
//
// A call that waits for its peer occupies the multiprocessors that it runs on. A rank has a dozen
// communicators, and their calls meet those of their peers in orders that the ranks have not agreed on. So it
// is certain that no call waits for ever only if one call of each communicator has room at the same time.
// Therefore each has a bound, which depends on what it carries, and the bounds of all communicators that a
// rank can have (kMost… below) add up to less than the device, if the device has 20 multiprocessors or more.
// (A slice of a device may have fewer; the run logs a warning then.) Kernels that compute take
// multiprocessors too, but they end by themselves.
//
// For each multiprocessor a communicator also takes a few MiB of buffers per peer.

#include "headwater/comm/world.h"

#include <algorithm>
#include <bit>

namespace headwater::comm {

// The largest number of communicators of each kind that train/engine.cpp makes on a rank:
// - awaited: sums over tensor ranks;
// - beside: sums of gradients;
// - messages: with the pipeline's next stage and the previous one, with the next tensor rank and the
//   previous one (if LFA is cut by tokens), and with the other end of a tied embedding, each in both
//   directions;
// - scalars: those of all ranks, and those of the loss.
inline constexpr int kMostAwaited = 1, kMostBeside = 3, kMostMessages = 10, kMostScalars = 2;

// Returns the largest number of blocks that the kernels of such a communicator may have; each block occupies
// a multiprocessor. It is a power of two, since NCCL rounds the channels of messages up to one. `none` stands
// for a communicator that carries messages from one rank to another.
inline int most_blocks(Traffic::Collectives collectives, int multiprocessors) {
  const auto one_of_every = [&](int count) {
    return static_cast<int>(std::bit_floor(static_cast<unsigned>(std::max(multiprocessors / count, 1))));
  };
  switch (collectives) {
    case Traffic::Collectives::awaited: return one_of_every(4);
    case Traffic::Collectives::beside: return one_of_every(16);
    case Traffic::Collectives::none: return one_of_every(32);
    case Traffic::Collectives::scalars: break;
  }
  return 1;
}

}  // namespace headwater::comm
