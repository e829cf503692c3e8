#include "headwater/plan/simulate/timeline.h"

namespace headwater {

Timeline timeline_of(const StepTime& time, const StepCosts& costs) {
  Timeline timeline{"predicted", {}};
  for (std::size_t r = 0; r < time.pipeline.ranks.size(); ++r) {
    const RankTimes& rank = time.pipeline.ranks[r];
    const EndOfStep& end = costs.ends[r];
    std::vector<Span>& spans = timeline.ranks.emplace_back();
    for (const ComputeSpan& span : rank.computes)
      spans.push_back(
          {span_kind(span.action.kind), span.action.micro_batch, span.action.stage, span.begin, span.end});
    const auto add = [&](SpanKind kind, double begin, double seconds) {
      if (seconds > 0.0) spans.push_back({kind, -1, -1, begin, begin + seconds});
      return begin + seconds;
    };
    add(SpanKind::reduce, rank.end, end.reduce);
    const double normed = add(SpanKind::reduce, time.reduced - end.tied, end.tied + end.norm);
    add(SpanKind::gather, add(SpanKind::update, normed, end.update), end.gather);
  }
  for (const TransferSpan& span : time.pipeline.transfers)
    timeline.ranks[static_cast<std::size_t>(span.to_rank)].push_back(
        {span.transfer.payload == Payload::activation ? SpanKind::receive_activation
                                                      : SpanKind::receive_gradient,
         span.transfer.micro_batch, span.transfer.to_stage, span.begin, span.end});
  return timeline;
}

}  // namespace headwater
