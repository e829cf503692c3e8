#include "headwater/run/span.h"

#include "headwater/base/error.h"

namespace headwater {

SpanKind span_kind(ActionKind action) {
  switch (action) {
    case ActionKind::forward: return SpanKind::forward;
    case ActionKind::backward: return SpanKind::backward;
    case ActionKind::input_gradient: return SpanKind::input_gradient;
    case ActionKind::weight_gradient: return SpanKind::weight_gradient;
  }
  HW_CHECK(false, "action {}", static_cast<int>(action));
  return SpanKind::forward;
}

}  // namespace headwater
