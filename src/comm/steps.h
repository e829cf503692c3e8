#pragma once
// What a collective call is made of: steps that the engine's thread runs one after the other, each by looking
// in again and again until it has ended. A step posts its receives before its sends; the next step posts
// nothing before this rank's part of the last has ended, so the messages of two steps match in order on one
// channel.

#include "headwater/comm/communicator.h"

#include "transfer.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace headwater::comm {

// A group as one of its ranks sees it.
struct Members {
  std::string name;
  int index = 0;                   // mine, in the group
  std::vector<int> ranks;          // of the world
  std::vector<int> channels;       // to each member: the how-manieth group the two ranks have in common
  std::vector<std::byte> scratch;  // the engine's thread only: one collective at a time
  std::atomic<std::int64_t> scratch_bytes = 0;  // its size, for anybody

  int size() const { return static_cast<int>(ranks.size()); }
  int world_rank(int member) const { return ranks[static_cast<std::size_t>(member)]; }
  // Collectives and messages do not mix.
  int collective_channel(int member) const { return 2 * channels[static_cast<std::size_t>(member)]; }
  int message_channel(int member) const { return collective_channel(member) + 1; }
};

class Step {
 public:
  virtual ~Step() = default;
  virtual bool run(Transport& transport) = 0;  // true once ended
};

using Steps = std::vector<std::unique_ptr<Step>>;

Steps all_reduce_steps(const std::shared_ptr<Members>& group, TensorView data, ReduceOp op);
Steps reduce_scatter_steps(const std::shared_ptr<Members>& group, TensorView in, TensorView out);
Steps all_gather_steps(const Members& group, TensorView in, TensorView out);
Steps broadcast_steps(const Members& group, TensorView data, int root);
Steps all_to_all_steps(const Members& group, TensorView in, TensorView out);
Steps send_steps(const Members& group, TensorView data, int peer);
Steps receive_steps(const Members& group, TensorView data, int peer);

}  // namespace headwater::comm
