// Timelines in the trace format of Chrome: one process per timeline, three threads per rank (what it does,
// and what is on its way to it in either direction).

#include "headwater/plan/simulate/timeline.h"

#include <fmt/format.h>

#include <array>
#include <iterator>
#include <utility>

namespace headwater {
namespace {

constexpr int kTracks = 3;
constexpr std::array<const char*, kTracks> kTrackNames = {"", ", activations arriving",
                                                          ", gradients arriving"};

int track_of(SpanKind kind) {
  return kind == SpanKind::receive_activation ? 1 : kind == SpanKind::receive_gradient ? 2 : 0;
}

const char* name_of(SpanKind kind) {
  switch (kind) {
    case SpanKind::forward: return "forward";
    case SpanKind::backward: return "backward";
    case SpanKind::input_gradient: return "input gradient";
    case SpanKind::weight_gradient: return "weight gradient";
    case SpanKind::wait: return "wait";
    case SpanKind::receive_activation: return "activation";
    case SpanKind::receive_gradient: return "gradient";
    case SpanKind::reduce: return "sum gradients";
    case SpanKind::update: return "update";
    case SpanKind::gather: return "gather weights";
  }
  return "";
}

}  // namespace

std::string chrome_trace(const std::vector<Timeline>& timelines) {
  std::string text = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[";
  const auto out = std::back_inserter(text);
  bool first = true;
  const auto comma = [&] { text += std::exchange(first, false) ? "\n" : ",\n"; };
  const auto metadata = [&](const char* what, std::size_t process, std::size_t thread,
                            const std::string& name) {
    comma();
    fmt::format_to(out, R"({{"name":"{}","ph":"M","pid":{},"tid":{},"args":{{"name":"{}"}}}})", what, process,
                   thread, name);
  };
  for (std::size_t t = 0; t < timelines.size(); ++t) {
    metadata("process_name", t, 0, timelines[t].name);
    for (std::size_t rank = 0; rank < timelines[t].ranks.size(); ++rank) {
      for (std::size_t track = 0; track < kTracks; ++track)
        metadata("thread_name", t, kTracks * rank + track,
                 fmt::format("pipeline rank {}{}", rank, kTrackNames[track]));
      for (const Span& span : timelines[t].ranks[rank]) {
        comma();
        fmt::format_to(out, R"({{"name":"{}{}","ph":"X","pid":{},"tid":{},"ts":{:.3f},"dur":{:.3f})",
                       name_of(span.kind), span.micro_batch < 0 ? "" : fmt::format(" {}", span.micro_batch),
                       t, kTracks * rank + static_cast<std::size_t>(track_of(span.kind)), span.begin * 1e6,
                       (span.end - span.begin) * 1e6);
        if (span.micro_batch >= 0)
          fmt::format_to(out, R"(,"args":{{"micro_batch":{},"stage":{}}})", span.micro_batch, span.stage);
        text += '}';
      }
    }
  }
  return text + "\n]}\n";
}

}  // namespace headwater
