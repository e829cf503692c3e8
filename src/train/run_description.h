#pragma once
// Describes a run in a few lines for people: its model, its ranks, its data.

#include "headwater/data/sample_stream.h"
#include "headwater/run/rank_layout.h"
#include "headwater/train/run_start.h"

#include <string>

namespace headwater {

std::string describe_run(const RunStart& start, const RankLayout& layout, int ranks,
                         const SampleStream& data);

}  // namespace headwater
