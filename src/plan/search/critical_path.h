#pragma once
// How long each rank takes for its part of a schedule: the longest chain of actions that ends on it, found in
// one pass over the schedule's dependency order. Without links the result is exact. With them it is close: a
// message waits for its sender's link and for its receiver to be one action before its use, but buffers never
// run out. The search for layouts asks this thousands of times; the simulator has the last word.

#include "headwater/schedule/dependency_order.h"

#include <cstdint>
#include <vector>

namespace headwater {

// The seconds that the passes of one micro-batch take on one virtual stage.
struct StageSeconds {
  double forward = 0.0, input_gradient = 0.0, weight_gradient = 0.0;
  double backward() const { return input_gradient + weight_gradient; }
  double total() const { return forward + backward(); }
  StageSeconds& operator+=(const StageSeconds& other);
};

class CriticalPath {
 public:
  // The schedule must be possible; otherwise InternalError.
  explicit CriticalPath(const Schedule& schedule);
  // Returns when each rank is done, in seconds from the start of the step. `stages` has one entry per virtual
  // stage; `links` holds what a message between stages s and s + 1 takes, and is empty where none takes time.
  std::vector<double> ends(const std::vector<StageSeconds>& stages,
                           const std::vector<double>& links = {}) const;
  // Returns when the last rank is done where links take no time.
  double seconds(const std::vector<StageSeconds>& stages) const;
  std::int64_t actions() const { return static_cast<std::int64_t>(order_.size()); }

 private:
  int ranks_;
  std::vector<OrderedAction> order_;
};

}  // namespace headwater
