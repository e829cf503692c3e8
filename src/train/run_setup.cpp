#include "headwater/train/run_setup.h"

#include "headwater/backend/cpu_backend.h"
#include "headwater/base/threads.h"
#include "headwater/comm/world.h"

#include <numeric>
#include <vector>

namespace headwater {

Choices choose(const TrainingConfig& training, World& world) {
  std::vector<int> all(static_cast<std::size_t>(world.size()));
  std::iota(all.begin(), all.end(), 0);
  const std::unique_ptr<Communicator> ranks = world.group("choices", all);
  Choices choices;
  choices.threads = static_cast<int>(-max_over(*ranks, -threads_for(world.local_size())));
  const bool bf16_everywhere = max_over(*ranks, cpu_has_bf16() ? 0 : 1) == 0;
  choices.dtype = training.dtype != "auto" ? training.dtype : bf16_everywhere ? "bf16" : "fp32";
  return choices;
}

}  // namespace headwater
