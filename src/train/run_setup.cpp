#include "headwater/train/run_setup.h"

#include "headwater/backend/cpu_backend.h"
#include "headwater/backend/make_backend.h"
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
  choices.device = device_for(training.device, world.local_rank(), world.local_size());
  if (choices.device.kind == Device::Kind::cuda && world.size() > 1) {
    if (training.device == "cuda")
      throw UserError("training.device is \"cuda\" with {} ranks: communication between GPUs is not built yet; one rank, or cpu, "
                      "is possible", world.size());
    choices.device = {};
  }
  if (training.device == "auto" && max_over(*ranks, choices.device.kind == Device::Kind::cpu ? 1 : 0) == 1) choices.device = {};
  choices.threads = static_cast<int>(-max_over(*ranks, -threads_for(world.local_size())));
  const bool has_bf16 = choices.device.kind == Device::Kind::cuda || cpu_has_bf16();
  const bool bf16_everywhere = max_over(*ranks, has_bf16 ? 0 : 1) == 0;
  choices.dtype = training.dtype != "auto" ? training.dtype : bf16_everywhere ? "bf16" : "fp32";
  return choices;
}

std::unique_ptr<Backend> make_backend(const Choices& choices, const World& world) {
  return make_backend({choices.device, choices.threads, fmt::format("rank {}", world.rank())});
}

}  // namespace headwater
