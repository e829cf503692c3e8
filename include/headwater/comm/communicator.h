#pragma once
// Collectives and messages among the ranks of one group. Four kinds: self (one rank, pays nothing), threads
// (ranks that are threads of one process, for tests and the thread sanitizer), MPI, and NCCL for tensors of
// GPUs.
//
// Every call takes the event after which its data is ready and gives the event of its result; the host does
// not wait. The memory must live, untouched, until that event is done. All ranks of a group make the same
// calls in the same order; messages are matched in order per ordered pair (from, to), each a channel of its
// own: one that is not yet matched delays neither other pairs, nor the reverse direction, nor collectives.
// Sums of f32 are taken in f32 and of bf16 in f32 (by NCCL in bf16), in an order that depends on the layout
// only, so that the same layout gives the same bits, and every rank the same. Every call is recorded by the
// flight recorder. A wait longer than the deadline, or a lost peer, makes Event::wait throw CommError.
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
  virtual int rank() const = 0;                 // within the group
  virtual int size() const = 0;

  // In place; f32, f64, bf16 (sum only) and i32.
  virtual Event all_reduce(TensorView data, ReduceOp op, Event after = {}) = 0;
  // `in` holds size() equal parts; `out` gets the sum of everybody's part rank().
  virtual Event reduce_scatter(TensorView in, TensorView out, Event after = {}) = 0;
  // `out` gets everybody's `in`, in rank order; `in` may be part rank() of `out`.
  virtual Event all_gather(TensorView in, TensorView out, Event after = {}) = 0;
  virtual Event broadcast(TensorView data, int root, Event after = {}) = 0;
  virtual Event send(TensorView data, int peer, Event after = {}) = 0;
  virtual Event receive(TensorView data, int peer, Event after = {}) = 0;
  // Part i of `in` goes to rank i; part j of `out` comes from rank j.
  virtual Event all_to_all(TensorView in, TensorView out, Event after = {}) = 0;
};

// For host values; waits. Built on the calls above.
std::int64_t sum_over(Communicator& group, std::int64_t value);
std::int64_t max_over(Communicator& group, std::int64_t value);
void barrier(Communicator& group);
void broadcast_bytes(Communicator& group, std::vector<std::byte>& bytes, int root);
// Everybody's bytes in rank order, on every rank.
std::vector<std::vector<std::byte>> gather_bytes(Communicator& group, std::span<const std::byte> bytes);

}  // namespace headwater
