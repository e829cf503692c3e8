#pragma once
// The steps that carry out a call: each is polled by the engine's thread until it has ended, then the next.
//
// A step posts its receives before its sends, and the next step posts nothing before this rank's part of the
// step before has ended. So the messages of two steps are matched in order on one channel.

#include "chunked_message.h"
#include "group.h"

#include "headwater/comm/communicator.h"

#include <memory>
#include <vector>

namespace headwater::comm {

class Step {
 public:
  virtual ~Step() = default;
  // Does what can be done without blocking; true once the step has ended.
  virtual bool run(Transport& transport) = 0;
};

using Steps = std::vector<std::unique_ptr<Step>>;

// One function for each call of Communicator, with its arguments. Those that sum keep the group, whose
// scratch they use.
Steps all_reduce_steps(const std::shared_ptr<Group>& group, TensorView data, ReduceOp op);
Steps reduce_scatter_steps(const std::shared_ptr<Group>& group, TensorView in, TensorView out);
Steps all_gather_steps(const Membership& group, TensorView in, TensorView out);
Steps broadcast_steps(const Membership& group, TensorView data, int root);
Steps all_to_all_steps(const Membership& group, TensorView in, TensorView out);
Steps send_steps(const Membership& group, TensorView data, int peer);
Steps receive_steps(const Membership& group, TensorView data, int peer);

}  // namespace headwater::comm
