#pragma once
// How long each rank takes for its part of a schedule: its actions played in one pass, in an order that is
// found once. Without links the result is exact, the longest chain of actions. With them it is close: a
// message waits for its sender's link and for its receiver to be one action before its use, but buffers never
// run out. This is what the search for layouts asks thousands of times; the simulator has the last word.

#include "headwater/schedule/schedule.h"

#include <cstdint>
#include <vector>

namespace headwater {

// Of one micro-batch on one virtual stage.
struct StageSeconds {
  double forward = 0.0, input_gradient = 0.0, weight_gradient = 0.0;
  double backward() const { return input_gradient + weight_gradient; }
  double total() const { return forward + backward(); }
  StageSeconds& operator+=(const StageSeconds& other);
};

class QuickPlay {
 public:
  // The schedule must be possible; otherwise InternalError.
  explicit QuickPlay(const Schedule& schedule);
  // When each rank is done. One entry of `stages` per virtual stage; `links`: what a message between stage s
  // and s + 1 takes, empty where nothing does.
  std::vector<double> ends(const std::vector<StageSeconds>& stages,
                           const std::vector<double>& links = {}) const;
  // Of the last rank, without links.
  double seconds(const std::vector<StageSeconds>& stages) const;
  std::int64_t actions() const { return static_cast<std::int64_t>(plays_.size()); }

 private:
  struct Play {
    ActionKind kind;
    int rank, stage;
    std::int64_t input;  // in plays_; -1: nothing to wait for but the action before it on its rank
  };
  int ranks_;
  std::vector<Play> plays_;
};

}  // namespace headwater
