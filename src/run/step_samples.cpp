#include "headwater/run/step_samples.h"

namespace headwater {

std::int64_t first_sample_of(const RankLayout& layout, std::int64_t first, int micro_batch) {
  const std::int64_t replicas = layout.grid.size(Axis::data),
                     replica = layout.grid.coordinate(layout.rank, Axis::data);
  return first + (micro_batch * replicas + replica) * layout.request.batch.samples;
}

std::int64_t samples_of_round(const RankLayout& layout) {
  return layout.request.batch.samples * layout.grid.size(Axis::data);
}

}  // namespace headwater
