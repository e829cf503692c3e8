#pragma once
// The spans of all ranks during one step, predicted or measured, and two ways to look at them: the trace
// format of Chrome (about:tracing, Perfetto) and a picture. Plain data; any thread may call.

#include "headwater/plan/simulate/step_time.h"
#include "headwater/run/span.h"

#include <string>
#include <vector>

namespace headwater {

struct Timeline {
  std::string name;                      // "predicted", "measured"
  std::vector<std::vector<Span>> ranks;  // by pipeline rank; of one replica
};

Timeline timeline_of(const StepTime& time, const StepCosts& costs);

// The trace has one process for each timeline, so that viewers show them one below the other.
std::string chrome_trace(const std::vector<Timeline>& timelines);

// The picture has a row for each rank. Spans too narrow to be seen are left out.
std::string timeline_svg(const Timeline& timeline, const std::string& title);

}  // namespace headwater
