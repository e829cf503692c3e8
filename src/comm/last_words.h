#pragma once
// Which rank says why the job ends, so that people read one line however many ranks fail.
//
// A rank that fails tells all. Rank 0 collects reasons for a moment, prints the best and ends the job. Where
// rank 0 stays silent, the lowest failed rank still alive does so: rank r waits r · 50 ms more than two
// seconds, three at most. Whoever has heard that another speaks leaves without a word, a second later: its
// launcher may be out of reach, or give it long to end.

#include "headwater/base/failure.h"

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace headwater::comm {

// Writes "headwater: error: MESSAGE" to standard error as one line, past all buffers.
void print_error_line(std::string_view message);

class LastWords {
 public:
  // With an empty reason it ends this process alone.
  using EndJob = std::function<void(const std::string& reason, int exit_code)>;
  enum class Turn : std::uint8_t { wait, speak, leave };

  LastWords(int rank, EndJob end_job);

  void this_rank_failed(const Failure& failure, double now);
  void other_rank_failed(int rank, const Failure& failure, double now);
  void other_rank_speaks(double now);
  // Before speak() tell the others.
  Turn turn(double now) const;
  void speak();
  void leave();

 private:
  struct Reason {
    int rank;
    Failure failure;
  };
  const Reason& best() const;

  int rank_;
  EndJob end_job_;
  std::vector<Reason> reasons_;  // in the order they came
  double first_ = 0.0;           // when the first came
  double own_ = 0.0;             // when this rank failed; 0: it has not
  double heard_speaker_ = 0.0;   // 0: nobody speaks yet
};

}  // namespace headwater::comm
