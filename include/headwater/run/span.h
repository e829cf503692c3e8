#pragma once
// A stretch of time in which a rank does one thing, during one step. Engines record spans, the simulator
// predicts them, and timelines show them.

#include "headwater/schedule/schedule.h"

#include <cstdint>

namespace headwater {

enum class SpanKind : std::uint8_t {
  forward,
  backward,
  input_gradient,
  weight_gradient,
  wait,                // for a transfer
  receive_activation,  // a transfer on its way to this rank
  receive_gradient,
  reduce,  // the end of a step: gradients are summed,
  update,  // weights updated,
  gather   // and sent to the ranks that did not update them
};

struct Span {
  SpanKind kind = SpanKind::forward;
  int micro_batch = -1, stage = -1;  // -1 where the span belongs to none
  double begin = 0.0, end = 0.0;     // seconds since the step began
};

SpanKind span_kind(ActionKind action);

}  // namespace headwater
