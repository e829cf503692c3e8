#pragma once
// parallel.pipeline_layout "auto": the layers of each stage that the search finds for the machines of
// parallel.cluster, with every other key as configured; without a cluster file for equal devices, free links
// and as much memory as is needed.

#include "headwater/plan/rank_layout.h"

#include <string>

namespace headwater {

inline bool is_auto(const PipelineLayout& layout) { return !layout.uniform && layout.layers.empty(); }

// What `auto` stands for, or the layout as it is. UserError where no layout fits, saying what is short. Pure
// but for the cluster file, which it reads.
PipelineLayout resolved_pipeline_layout(const RankLayoutRequest& request, const std::string& dtype,
                                        int ranks);

}  // namespace headwater
