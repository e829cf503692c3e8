#include "headwater/run/memory_table.h"

#include <fmt/format.h>

#include <algorithm>

namespace headwater {

std::string memory_table(const std::vector<std::vector<SegmentSize>>& by_pipeline_rank) {
  std::vector<std::string> names;
  for (const std::vector<SegmentSize>& segments : by_pipeline_rank)
    for (const SegmentSize& segment : segments)
      if (std::find(names.begin(), names.end(), segment.name) == names.end()) names.push_back(segment.name);

  std::string text = "memory, MiB";
  for (const std::string& name : names) text += fmt::format("{:>15}", name);
  text += fmt::format("{:>15}", "total");
  for (std::size_t rank = 0; rank < by_pipeline_rank.size(); ++rank) {
    text += fmt::format("\n{:>11}", fmt::format("rank {}", rank));
    std::int64_t total = 0;
    const auto cell = [&](std::int64_t bytes) {
      text += fmt::format("{:>15.1f}", static_cast<double>(bytes) / 1048576.0);
    };
    for (const std::string& name : names) {
      std::int64_t bytes = 0;
      for (const SegmentSize& segment : by_pipeline_rank[rank])
        if (segment.name == name) bytes = segment.bytes;
      cell(bytes);
      total += bytes;
    }
    cell(total);
  }
  return text;
}

std::vector<std::vector<SegmentSize>> segments_of(const std::vector<RankLayout>& layouts) {
  std::vector<std::vector<SegmentSize>> segments;
  for (const RankLayout& layout : layouts) segments.push_back(layout.segments);
  return segments;
}

}  // namespace headwater
