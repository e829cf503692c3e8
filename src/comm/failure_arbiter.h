#pragma once
// Decides which rank reports why the job ends, so that people read one line however many ranks fail.
//
// A rank that fails tells all others, unless it fails only because another did. Rank 0 collects failures for
// a moment, then prints the best reason and ends the job. If rank 0 stays silent, a failed rank that still
// lives does it instead: rank r waits min(2 s + r · 50 ms, 3 s) for a report of another rank, and then
// reports itself. It waits a second longer if it knows of one that should come first: a lower rank that has
// failed, or any that failed before it where it fails only because of that. A rank that was stopped or
// starved may notice late that its time has come; it first reads what other ranks have sent meanwhile. A
// failed rank that has heard of another's report ends its own process one second later without printing
// anything, since the launcher may be out of reach or slow to end it.
//
// Each rank's progress engine has one and asks it again and again. It knows nothing of threads and clocks:
// times are given to it, in seconds of any one clock.

#include "headwater/base/failure.h"

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace headwater::comm {

// Writes "headwater: error: MESSAGE" to standard error as one line, without buffers.
void print_error_line(std::string_view message);

class FailureArbiter {
 public:
  // Prints the reason and ends the job on all ranks. With an empty reason it ends this process alone.
  using EndJob = std::function<void(const std::string& reason, int exit_code)>;
  enum class Action : std::uint8_t {
    wait,    // nothing to do yet
    report,  // tell the other ranks that this one reports, then call report()
    leave,   // call leave()
  };

  FailureArbiter(int rank, EndJob end_job);

  void this_rank_failed(const Failure& failure, double now);
  void other_rank_failed(int rank, const Failure& failure, double now);
  void other_rank_reports(double now);
  // Returns what this rank should do now.
  Action next_action(double now);
  void report();  // ends the job with the best reason
  void leave();   // ends this process alone, without a word

 private:
  struct Reason {
    int rank;
    Failure failure;
  };
  const Reason& best_reason() const;
  double turn() const;  // when this rank reports, if no other has

  int rank_;
  EndJob end_job_;
  std::vector<Reason> reasons_;      // in the order of their arrival
  double first_failure_ = 0.0;       // when the first reason arrived
  double own_failure_ = 0.0;         // when this rank failed; 0 if it has not
  bool only_follows_ = false;        // this rank failed because another had
  double turn_noticed_ = 0.0;        // when this rank first saw that its turn had come; 0 before
  double heard_other_report_ = 0.0;  // when another rank said that it reports; 0 if none has
};

}  // namespace headwater::comm
