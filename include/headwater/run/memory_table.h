#pragma once
// The arena's segments and their sizes as a table for people, with a line for each pipeline rank.

#include "headwater/run/rank_layout.h"

#include <string>
#include <vector>

namespace headwater {

std::string memory_table(const std::vector<std::vector<SegmentSize>>& by_pipeline_rank);

std::vector<std::vector<SegmentSize>> segments_of(const std::vector<RankLayout>& layouts);

}  // namespace headwater
