#include "access_history.h"

#include <algorithm>

namespace emulation {

void Clocks::begin_launch() { launch_began_ = ++now_; }

void Clocks::begin_block() {
  block_began_ = ++now_;
  own_.fill(now_);
  for (Times& known : known_) known.fill(now_);
}

void Clocks::arrive(unsigned warp, Times& at_barrier) const {
  for (unsigned other = 0; other < kWarps; ++other)
    at_barrier[other] = std::max(at_barrier[other], known_[warp][other]);
  at_barrier[warp] = std::max(at_barrier[warp], own_[warp] + 1);
}

void Clocks::leave(unsigned warp, const Times& at_barrier) {
  for (unsigned other = 0; other < kWarps; ++other) {
    known_[warp][other] = std::max(known_[warp][other], at_barrier[other]);
  }
  own_[warp] = known_[warp][warp] = ++now_;
}

Conflict AccessHistory::note(std::size_t offset, std::size_t size, unsigned thread, bool write, bool atomic,
                             bool among_blocks, const Clocks& clocks) {
  const unsigned warp = thread / 32;
  const Stamp mine = clocks.time(warp) << 11U | (atomic ? 1U << 10U : 0U) | thread;
  Conflict conflict;
  // Whether the access `then` is not known to come before this one.
  const auto open = [&](Stamp then) {
    const Stamp time = then >> 11U;
    if (then == 0 || time < clocks.launch_began()) return false;
    if (time < clocks.block_began()) return among_blocks;
    const unsigned other = then & 0x3ffU;
    return other != thread && time >= clocks.known(warp, other / 32);
  };
  const auto clash = [&](Stamp then, bool wrote) {
    if (conflict.found || !open(then) || (atomic && (then >> 10U & 1U) != 0)) return;
    conflict = {true, (then >> 11U) < clocks.block_began(), wrote, then & 0x3ffU};
  };
  const auto change = [&](Byte& byte) {
    // Read just now by the same thread: who has written since has seen that.
    if (!write && (byte.read[0] == mine || byte.read[1] == mine)) return;
    clash(byte.write, true);
    if (write) {
      clash(byte.read[0], false);
      clash(byte.read[1], false);
      byte.write = mine;
    }
    if (!write || atomic) {
      // In the place of one that is known to come before, or of its own.
      const bool first = (byte.read[0] & 0x3ffU) == thread || !open(byte.read[0]);
      if (first || (byte.read[1] & 0x3ffU) == thread || !open(byte.read[1])) byte.read[first ? 0 : 1] = mine;
    }
  };
  // The bytes of an access nearly always have the same history.
  Byte* const bytes = bytes_.data() + offset;
  const Byte before = bytes[0];
  change(bytes[0]);
  for (std::size_t i = 1; i < size; ++i) {
    if (bytes[i] == before) {
      bytes[i] = bytes[0];
    } else {
      change(bytes[i]);
    }
  }
  return conflict;
}

}  // namespace emulation
