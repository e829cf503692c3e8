#pragma once
// Who touched each byte last, and whether that is ordered before who touches it now: races inside a block.
//
// Time is counted per warp. A warp's clock moves on at every barrier it passes, and it then knows of the
// accesses that the others there made before (vector clocks, Mattern 1989). Two accesses of a byte, one of
// them a write, by two threads are a race unless one knows of the other, or both are atomic. Two readers are
// remembered for each byte: a third is forgotten, so that a race with it alone goes unseen.

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace emulation {

inline constexpr unsigned kWarps = 32;

class Clocks {
 public:
  using Times = std::array<std::uint32_t, kWarps>;  // of each warp: what lies before it is known

  // Everything from before is known to all; `launch`: and nothing of the blocks from here on is known to
  // others.
  void begin_launch();
  void begin_block();
  bool worn_out() const { return now_ > (1U << 20U); }  // time to forget all histories, and to begin again
  void reset() { now_ = 0; }

  void warp_meets(unsigned warp) { own_[warp] = known_[warp][warp] = ++now_; }
  // A barrier collects what those who come know, and gives it to those who leave.
  void arrive(unsigned warp, Times& at_barrier) const;
  void move_on(unsigned warp) { own_[warp] = ++now_; }
  void leave(unsigned warp, const Times& at_barrier);

  std::uint32_t time(unsigned warp) const { return own_[warp]; }
  std::uint32_t known(unsigned warp, unsigned of) const { return known_[warp][of]; }
  std::uint32_t block_began() const { return block_began_; }
  std::uint32_t launch_began() const { return launch_began_; }

 private:
  std::uint32_t now_ = 0, block_began_ = 0, launch_began_ = 0;
  Times own_{};
  std::array<Times, kWarps> known_{};
};

struct Conflict {
  bool found = false, other_block = false, other_wrote = false;
  unsigned thread = 0;  // the other
};

class AccessHistory {
 public:
  explicit AccessHistory(std::size_t bytes) : bytes_(bytes) {}
  // Notes the access of [offset, offset + size) by a thread. `among_blocks`: the bytes are seen by other
  // blocks too.
  Conflict note(std::size_t offset, std::size_t size, unsigned thread, bool write, bool atomic,
                bool among_blocks, const Clocks& clocks);
  void clear() { bytes_.assign(bytes_.size(), {}); }

 private:
  using Stamp = std::uint32_t;  // time << 11 | atomic << 10 | thread; 0: never
  struct Byte {
    Stamp write = 0, read[2] = {0, 0};
    bool operator==(const Byte&) const = default;
  };
  std::vector<Byte> bytes_;
};

}  // namespace emulation
