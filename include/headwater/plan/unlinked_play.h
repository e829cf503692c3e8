#pragma once
// How long a schedule takes where links take no time and buffers never run out: the longest chain of its
// actions. The order in which they can be played is found once; asking for a set of stage times is then one pass
// over them. This is what the search for layer counts asks thousands of times; the simulator, which knows of
// links and buffers, has the last word.

#include "headwater/schedule/schedule.h"

#include <cstdint>
#include <vector>

namespace headwater {

// Of one micro-batch on one virtual stage.
struct StageSeconds {
  double forward = 0.0, input_gradient = 0.0, weight_gradient = 0.0;
  double backward() const { return input_gradient + weight_gradient; }
  double total() const { return forward + backward(); }
};

class UnlinkedPlay {
 public:
  // The schedule must be possible; otherwise InternalError.
  explicit UnlinkedPlay(const Schedule& schedule);
  // One entry per virtual stage.
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
