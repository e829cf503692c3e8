#pragma once
// One question to all other ranks and what they answered: whether they live, and who kept a call from ending.

#include "control.h"

#include <functional>
#include <optional>

namespace headwater::comm {

class Inquiry {
 public:
  using Conclude = std::function<void(const Inquiry&)>;

  // `call`: what is asked about; none asks for a sign of life. `conclude` is called once, when all have
  // answered or at the deadline.
  Inquiry(std::uint64_t number, int rank, int ranks, std::optional<Call> call, double deadline,
          Conclude conclude);

  Control question_for(int rank) const;
  void take(int rank, const Control& answer);
  bool over(double now) const;  // all have answered, or time is up
  void conclude() { conclude_(*this); }

  std::uint64_t number() const { return number_; }
  bool all_answered() const;
  // Whom the call waits for, in words: "rank 2 (host) did not come". First those who do not answer at all, in
  // the group or not (a rank that does not come may itself be waiting for them); then those who have not come
  // and wait for nobody; then any rank that waits for nobody, if all who are missing wait themselves.
  std::string who_did_not_come(const std::vector<std::string>& hosts) const;

 private:
  std::vector<int> awaited() const;  // the ranks that the call needs, but mine
  std::string who_came_otherwise(const std::vector<std::string>& hosts) const;

  std::uint64_t number_;
  int rank_;
  std::optional<Call> call_;
  double deadline_;
  Conclude conclude_;
  std::vector<std::optional<Control>> answers_;  // by rank
};

}  // namespace headwater::comm
