#pragma once
// Which samples of the stream each micro-batch of a step takes. Replicas take turns: round m of a step is
// micro-batch m of every replica, one replica after the other.

#include "headwater/run/rank_layout.h"

#include <cstdint>

namespace headwater {

// The first sample that this rank's replica takes in round `micro_batch` of a step whose first sample is
// `first`.
std::int64_t first_sample_of(const RankLayout& layout, std::int64_t first, int micro_batch);

std::int64_t samples_of_round(const RankLayout& layout);

}  // namespace headwater
