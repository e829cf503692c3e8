#pragma once
// A communicator whose calls a progress engine runs. MPI ranks and thread ranks share this code, and so get
// the same bits.

#include "progress_engine.h"

namespace headwater::comm {

class GroupCommunicator final : public Communicator {
 public:
  GroupCommunicator(ProgressEngine& engine, std::shared_ptr<Group> group);

  const std::string& name() const override { return group_->name; }
  int rank() const override { return group_->index; }
  int size() const override { return group_->size(); }

  Event all_reduce(TensorView data, ReduceOp op, Event after) override;
  Event reduce_scatter(TensorView in, TensorView out, Event after) override;
  Event all_gather(TensorView in, TensorView out, Event after) override;
  Event broadcast(TensorView data, int root, Event after) override;
  Event send(TensorView data, int peer, Event after) override;
  Event receive(TensorView data, int peer, Event after) override;
  Event all_to_all(TensorView in, TensorView out, Event after) override;

 private:
  Event submit(CallKind kind, int peer, std::string operation, TensorView data, Steps steps, Event after);

  ProgressEngine& engine_;
  std::shared_ptr<Group> group_;
};

// Checks of arguments, the same for every kind of communicator. They throw InternalError.
void check_dense(TensorView view);
void check_all_reduce(TensorView data, ReduceOp op);
// `whole` must have `size` times the elements of `part`, and its dtype and device.
void check_parts(TensorView whole, TensorView part, int size);

}  // namespace headwater::comm
