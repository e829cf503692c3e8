#pragma once
// A recording says what one rank did in one step, and when, by its own clock. It is made only where somebody
// asks for one, and belongs to the compute thread.

#include "headwater/base/clock.h"
#include "headwater/run/span.h"

#include <vector>

namespace headwater {

class Recording {
 public:
  double now() const { return since_.seconds(); }  // since the recording was made
  void add(const Span& span) { spans_.push_back(span); }
  const std::vector<Span>& spans() const { return spans_; }

 private:
  Stopwatch since_;
  std::vector<Span> spans_;
};

}  // namespace headwater
