#pragma once
// The step in which every rank gets everybody's copy of its own part and combines them in rank order, round
// by round: one piece from every peer into scratch, a few rounds under way at a time. Only the parts of
// others leave the buffer, so the result may overwrite this rank's own.

#include "steps.h"

namespace headwater::comm {

class ReduceParts final : public Step {
 public:
  ReduceParts(std::shared_ptr<Members> group, ReduceOp op, DType dtype, const void* own, void* result,
              std::size_t elements, std::vector<Transfer> sends);

  bool run(Transport& transport) override;

 private:
  void reserve_scratch();
  std::byte* slot(std::size_t round, std::size_t other);
  void post_round(Transport& transport);
  bool round_has_come(Transport& transport);
  void combine_round();
  std::size_t bytes_in(std::size_t round) const;

  std::shared_ptr<Members> group_;
  ReduceOp op_;
  DType dtype_;
  const std::byte* own_;
  std::byte* result_;
  std::size_t bytes_;  // of this rank's part
  std::size_t piece_;  // of a round
  std::size_t rounds_, posted_ = 0, done_ = 0;
  std::vector<Transfer> sends_;
  std::vector<Transport::Request> requests_;  // [round % kWindow][peer but me]
  std::size_t come_ = 0;                      // peers whose piece of the oldest round is here
};

}  // namespace headwater::comm
