#include "measured_timeline.h"

#include <cstring>

namespace headwater {

Timeline measured_timeline(Engine& engine, const Recording& recording) {
  Timeline timeline{"measured", {}};
  const std::vector<std::vector<std::byte>> all =
      gather_bytes(engine.world_group(), std::as_bytes(std::span(recording.spans())));
  for (const int rank : engine.layout().grid.group(0, {Axis::pipeline})) {
    const std::vector<std::byte>& bytes = all[static_cast<std::size_t>(rank)];
    std::vector<Span>& spans = timeline.ranks.emplace_back(bytes.size() / sizeof(Span));
    if (!spans.empty()) std::memcpy(spans.data(), bytes.data(), bytes.size());
  }
  return timeline;
}

}  // namespace headwater
