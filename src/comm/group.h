#pragma once
// A group of ranks that share a communicator, as one of its members sees it.
//
// The compute thread makes groups; the progress engine's thread (progress_engine.h) runs their calls.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace headwater::comm {

class Operation;

// Calls of one group that must run one after the other. A group has such a queue for its collectives, one for
// its messages to each member, and one for its messages from each member.
struct CallQueue {
  std::atomic<std::uint64_t> submitted = 0;  // calls so far: the sequence number of the last one
  // In the order of submission; the first may be under way. Only the engine's thread touches it.
  std::deque<std::shared_ptr<Operation>> pending;
};

// Which ranks belong to the group, and the transport's channels on which they talk. A "member" is a position
// in `ranks`.
struct Membership {
  std::string name;
  int index = 0;           // the member that this rank is
  std::vector<int> ranks;  // ranks of the world, rising
  // By member: how many groups this rank and that member had in common before they made this one. Both count
  // alike, since all ranks make their groups in the same order.
  std::vector<int> channels;

  int size() const { return static_cast<int>(ranks.size()); }
  int world_rank(int member) const { return ranks[static_cast<std::size_t>(member)]; }
  // Collectives and messages have channels of their own, so that neither is taken for the other.
  int collective_channel(int member) const { return 2 * channels[static_cast<std::size_t>(member)]; }
  int message_channel(int member) const { return collective_channel(member) + 1; }
};

struct Group : Membership {
  explicit Group(Membership membership);
  virtual ~Group() = default;

  // Ends the group's calls that run on a device. The engine's thread calls it after a failure.
  virtual void abandon() {}
  virtual bool on_device() const { return false; }

  CallQueue collectives;
  std::vector<CallQueue> sends, receives;  // by member

  // Memory for sums, shared by the group's collectives, of which one runs at a time. Only the engine's thread
  // touches it; any thread may read its size.
  std::vector<std::byte> scratch;
  std::atomic<std::int64_t> scratch_bytes = 0;
};

}  // namespace headwater::comm
