#pragma once
// What of a GPU's multiprocessors a communicator of NCCL may take.
//
// A call that waits for its peer stays on the multiprocessors that it runs on. A rank has a dozen
// communicators, whose calls meet those of their peers in orders that nobody has agreed on: that none waits
// for ever is certain only where there is room for one call of each at once. So each has a bound, by what it
// carries, and the bounds of all that a rank can have (kMost…) add up to less than the device, if it has 20
// multiprocessors or more (a slice of one may have fewer; a run warns then). Work that computes takes
// multiprocessors too, but ends by itself.
//
// Each multiprocessor also costs a communicator a few MiB of buffers for each peer.

#include "headwater/comm/world.h"

#include <algorithm>
#include <bit>

namespace headwater::comm {

// What a rank can have of each (train/engine.cpp): tensor ranks' sums; sums of gradients; messages to the
// pipeline's next stage and the one before, to the next tensor rank and the one before where LFA is cut by
// tokens, and to the other end of a tied embedding, there and back; and the scalars of all ranks and of the
// loss.
inline constexpr int kMostAwaited = 1, kMostBeside = 3, kMostMessages = 10, kMostScalars = 2;

// Blocks of its kernels, each of which has a multiprocessor. A power of two, as NCCL rounds the channels of
// messages up to one. `none`: messages from one rank to one other.
inline int most_blocks(Traffic::Collectives collectives, int multiprocessors) {
  const auto part = [&](int of) {
    return static_cast<int>(std::bit_floor(static_cast<unsigned>(std::max(multiprocessors / of, 1))));
  };
  switch (collectives) {
    case Traffic::Collectives::awaited: return part(4);
    case Traffic::Collectives::beside: return part(16);
    case Traffic::Collectives::none: return part(32);
    case Traffic::Collectives::scalars: break;
  }
  return 1;
}

}  // namespace headwater::comm
