#pragma once
// The exchanges of a block with the other ranks that share its layer: partial sums of row-parallel products
// are added up; where tokens are cut too (sequence parallelism, Korthikanti et al. 2022) they are gathered
// before column-parallel products, and each rank keeps its own tokens of a sum. On one rank every call gives
// its argument back and costs nothing.
//
// A TensorRanks is cheap to copy and belongs to the compute thread. Results are ready for work queued after
// the call.

#include "headwater/comm/communicator.h"
#include "headwater/model/sharding.h"

namespace headwater {

class TensorRanks {
 public:
  TensorRanks() = default;  // one rank
  TensorRanks(Communicator& group, const Sharding& sharding);

  const Sharding& sharding() const { return sharding_; }
  int rank() const { return group_ == nullptr ? 0 : group_->rank(); }
  bool several() const { return group_ != nullptr; }
  // The first of this rank's tokens, of `tokens` of a micro-batch.
  std::int64_t first_token(std::int64_t tokens) const;

  // All tokens [T, …] in `all`, from everybody's [T/t, …]; `shard` itself where tokens are whole.
  TensorView gather(Queue& queue, TensorView shard, TensorView all) const;
  // The sum of everybody's `partial` [T, …]: of this rank's tokens, in `shard`; or of all, in `partial`.
  TensorView sum(Queue& queue, TensorView partial, TensorView shard) const;

  // Between neighbours, as tokens are cut: `mine` goes to the rank on the right (left), and what the one on
  // the left (right) sent comes into `from`. Gives whether there was one to receive from.
  bool pass_right(Queue& queue, TensorView mine, TensorView from) const {
    return pass(queue, mine, from, +1);
  }
  bool pass_left(Queue& queue, TensorView mine, TensorView from) const { return pass(queue, mine, from, -1); }

  // Everybody's `mine` [n, …] one after the other in `all` [t·n, …].
  void gather_all(Queue& queue, TensorView mine, TensorView all) const;

 private:
  bool pass(Queue& queue, TensorView mine, TensorView from, int direction) const;

  Communicator* group_ = nullptr;
  Sharding sharding_;
};

}  // namespace headwater
