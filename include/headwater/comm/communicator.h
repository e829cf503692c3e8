#pragma once
// Collectives and messages among the ranks of one group. There are four kinds of communicator: self (one
// rank, at no cost), threads (ranks that are threads of one process, for tests and the thread sanitizer),
// MPI, and NCCL for tensors of GPUs.
//
// - Every call takes the event after which its data is ready and returns the event of its result; the host
//   does not wait. The memory must live, untouched, until that event is done.
// - All ranks of a group make the same collective calls in the same order. Messages are matched in order
//   per ordered pair (from, to). A message that is not yet matched delays neither other pairs, nor the
//   reverse direction, nor collectives.
// - Sums of f32 are taken in f32, and sums of bf16 in f32 (by NCCL in bf16). Their order depends on the
//   layout only: the same layout gives the same bits, and all ranks get the same.
// - The flight recorder records every call.
// - Event::wait throws CommError when the wait passes the deadline (World::set_timeout) or a peer is lost.
//
// A communicator belongs to the compute thread of its rank.

#include "headwater/tensor/queue.h"
#include "headwater/tensor/tensor_view.h"

#include <span>
#include <string>
#include <vector>

namespace headwater {

enum class ReduceOp : std::uint8_t { sum, max };

class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual const std::string& name() const = 0;  // "data", "pipeline", …
  virtual int rank() const = 0;                 // this rank's number within the group
  virtual int size() const = 0;

  // Tensors must be dense. `root` and `peer` are ranks within the group.

  // Works in place, on f32, f64, i32, and bf16 (sum only).
  virtual Event all_reduce(TensorView data, ReduceOp op, Event after = {}) = 0;
  // `in` holds size() equal parts. `out` gets the sum over all ranks of their part number rank().
  virtual Event reduce_scatter(TensorView in, TensorView out, Event after = {}) = 0;
  // `out` gets the `in` of all ranks, in rank order. `in` may lie in `out`, as part number rank().
  virtual Event all_gather(TensorView in, TensorView out, Event after = {}) = 0;
  virtual Event broadcast(TensorView data, int root, Event after = {}) = 0;
  virtual Event send(TensorView data, int peer, Event after = {}) = 0;
  virtual Event receive(TensorView data, int peer, Event after = {}) = 0;
  // Part i of `in` goes to rank i; part j of `out` comes from rank j.
  virtual Event all_to_all(TensorView in, TensorView out, Event after = {}) = 0;
};

// Collectives of values on the host, made of the calls above. They wait for the result.
std::int64_t sum_over(Communicator& group, std::int64_t value);
std::int64_t max_over(Communicator& group, std::int64_t value);
void barrier(Communicator& group);
// Sets `bytes` on every rank to those of `root`, whatever their number.
void broadcast_bytes(Communicator& group, std::vector<std::byte>& bytes, int root);
// Returns the bytes of all ranks, in rank order, on every rank. Their numbers may differ.
std::vector<std::vector<std::byte>> gather_bytes(Communicator& group, std::span<const std::byte> bytes);

}  // namespace headwater
