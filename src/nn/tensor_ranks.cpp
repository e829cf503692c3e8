#include "headwater/nn/tensor_ranks.h"

namespace headwater {

TensorRanks::TensorRanks(Communicator& group, const Sharding& sharding)
    : group_(group.size() > 1 ? &group : nullptr), sharding_(sharding) {
  HW_CHECK(group.size() == sharding.tensor, "a group of {} for {} tensor ranks", group.size(),
           sharding.tensor);
}

std::int64_t TensorRanks::first_token(std::int64_t tokens) const {
  return sharding_.sequence_parallel ? rank() * sharding_.local_tokens(tokens) : 0;
}

TensorView TensorRanks::gather(Queue& queue, TensorView shard, TensorView all) const {
  if (!sharding_.sequence_parallel) return shard;
  gather_all(queue, shard, all);
  return all;
}

TensorView TensorRanks::sum(Queue& queue, TensorView partial, TensorView shard) const {
  if (group_ == nullptr) return partial;
  if (!sharding_.sequence_parallel) {
    queue.wait(group_->all_reduce(partial, ReduceOp::sum, queue.record()));
    return partial;
  }
  queue.wait(group_->reduce_scatter(partial, shard, queue.record()));
  return shard;
}

void TensorRanks::gather_all(Queue& queue, TensorView mine, TensorView all) const {
  queue.wait(group_->all_gather(mine, all, queue.record()));
}

bool TensorRanks::pass(Queue& queue, TensorView mine, TensorView from, int direction) const {
  if (group_ == nullptr) return false;
  const int to = group_->rank() + direction, source = group_->rank() - direction;
  const bool sends = to >= 0 && to < group_->size(), receives = source >= 0 && source < group_->size();
  Event sent, received;
  if (sends) sent = group_->send(mine, to, queue.record());
  if (receives) received = group_->receive(from, source, queue.record());
  queue.wait(sent);
  queue.wait(received);
  return receives;
}

}  // namespace headwater
