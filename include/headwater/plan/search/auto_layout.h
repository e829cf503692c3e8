#pragma once
// parallel.pipeline_layout "auto": the layers of each stage that the search finds for the machines of
// parallel.cluster, with every other key as configured. Without a cluster file it searches for equal devices
// with free links and as much memory as is needed.

#include "headwater/run/layout_request.h"

#include <string>

namespace headwater {

inline bool is_auto(const PipelineLayout& layout) { return !layout.uniform && layout.layers.empty(); }

// Returns `request` with "auto" replaced by the layers found, or unchanged where it names a layout. A request
// without training is searched as one replica, which is all that its ranks differ in. UserError where no
// layout fits, saying what is short. Reads the cluster file; `dtype` is "fp32" or "bf16".
RankLayoutRequest with_layers_found(RankLayoutRequest request, const std::string& dtype, int ranks);

}  // namespace headwater
