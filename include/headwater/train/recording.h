#pragma once
// What one rank did in one step, and when, by its own clock; made only where somebody asks for it. Owned by
// the compute thread.

#include "headwater/base/clock.h"
#include "headwater/plan/timeline.h"

#include <vector>

namespace headwater {

class Recording {
 public:
  double now() const { return since_.seconds(); }
  void add(const Span& span) { spans_.push_back(span); }
  const std::vector<Span>& spans() const { return spans_; }

 private:
  Stopwatch since_;
  std::vector<Span> spans_;
};

class Engine;

// Of all pipeline ranks of the first replica. Collective, and the same on every rank.
Timeline measured_timeline(Engine& engine, const Recording& recording);

}  // namespace headwater
