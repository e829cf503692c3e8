#pragma once
// A poll of all other ranks: whether their progress engines live, and which of them keeps a call from ending.
//
// The engine that starts a poll sends each other rank a question, hands the answers over, and looks from time
// to time whether the poll is over. Belongs to the engine's thread.

#include "control_message.h"

#include <functional>
#include <optional>

namespace headwater::comm {

class LivenessPoll {
 public:
  using Conclude = std::function<void(const LivenessPoll&)>;

  // Rank `rank` of `ranks` asks about `call`; without a call the poll asks only for signs of life. It is over
  // when all have answered, and at `deadline` (now_seconds()) at the latest. `number` tells the polls of a
  // rank apart. `conclude` is what conclude() calls.
  LivenessPoll(std::uint64_t number, int rank, int ranks, std::optional<Call> call, double deadline,
               Conclude conclude);

  ControlMessage question_for(int rank) const;
  void take_answer(int rank, const ControlMessage& answer);
  bool over(double now) const;
  // To be called once, when the poll is over.
  void conclude() { conclude_(*this); }

  std::uint64_t number() const { return number_; }
  bool all_answered() const;
  // Says in words which ranks keep the call from ending: "rank 2 (host) did not come". These are
  // - the ranks that do not answer at all, whether the call needs them or not (a rank that does not come
  //   may be waiting for one of them);
  // - if all answer, those that have not made the call and wait for no other;
  // - if all of those that have not made it wait for another call, the ranks that wait for nothing.
  std::string who_did_not_come(const std::vector<std::string>& hosts) const;

 private:
  // The other ranks that must make the call, too.
  std::vector<int> needed_ranks() const;
  std::string why_though_all_came(const std::vector<std::string>& hosts) const;

  std::uint64_t number_;
  int rank_;
  std::optional<Call> call_;
  double deadline_;
  Conclude conclude_;
  std::vector<std::optional<ControlMessage>> answers_;  // by rank
};

}  // namespace headwater::comm
