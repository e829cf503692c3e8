#pragma once
// The step of a reduction in which every member gets all other members' copies of its own part and combines
// them, in rank order.
//
// A part is combined chunk by chunk, in rounds: in each round one chunk arrives from every other member, in
// the group's scratch, and kWindow rounds may be under way at a time. A member sends only the parts of
// others, so that the result may overwrite its own.

#include "steps.h"

namespace headwater::comm {

class ReduceParts final : public Step {
 public:
  // `own`: this rank's copy of its part, of `elements` elements. `result` gets the combined part; it may be
  // `own`. `sends`: this rank's copies of the other members' parts, one message to each member.
  ReduceParts(std::shared_ptr<Group> group, ReduceOp op, DType dtype, const void* own, void* result,
              std::size_t elements, std::vector<ChunkedMessage> sends);

  bool run(Transport& transport) override;

 private:
  void reserve_scratch();
  // Where the chunk of `round` from the other member number `other` arrives (numbered without this rank).
  std::byte* slot(std::size_t round, std::size_t other);
  void post_round(Transport& transport);
  bool round_has_arrived(Transport& transport);
  void combine_round();
  std::size_t bytes_in(std::size_t round) const;

  std::shared_ptr<Group> group_;
  ReduceOp op_;
  DType dtype_;
  const std::byte* own_;
  std::byte* result_;
  std::size_t bytes_;        // size of this rank's part
  std::size_t chunk_bytes_;  // size of a round's chunk; the last may be smaller
  std::size_t rounds_, posted_ = 0, done_ = 0;
  std::vector<ChunkedMessage> sends_;
  std::vector<Transport::Request> requests_;  // [round % kWindow][other member]
  std::size_t arrived_ = 0;                   // members whose chunk of the oldest round under way is here
};

}  // namespace headwater::comm
