#include "headwater/train/run_setup.h"

#include "headwater/backend/cpu_backend.h"
#include "headwater/backend/make_backend.h"
#include "headwater/base/bytes.h"
#include "headwater/base/index.h"
#include "headwater/base/log.h"
#include "headwater/base/threads.h"
#include "headwater/comm/world.h"

#include <fmt/format.h>

#include <map>
#include <numeric>
#include <vector>

namespace headwater {
namespace {

// Names two ranks that would share one GPU; empty where each has its own.
std::string shared_device(World& world, Communicator& ranks, Device mine) {
  std::map<std::string, int> owners;
  const std::string own = identity_of(mine).bus_id;
  const std::vector<std::vector<std::byte>> all = gather_bytes(ranks, as_bytes(own));
  for (int rank = 0; rank < world.size(); ++rank) {
    const std::string bus(as_text(all[static_cast<std::size_t>(rank)]));
    const auto [owner, first] = owners.emplace(world.host(rank) + " " + bus, rank);
    if (!bus.empty() && !first)
      return fmt::format("ranks {} and {} on host {} would share the GPU {}", owner->second, rank,
                         world.host(rank), bus);
  }
  return {};
}

// Returns the device of this rank. With "auto" either every rank has a GPU of its own, or all compute on
// CPUs.
Device choose_device(const std::string& asked, World& world, Communicator& ranks) {
  const bool automatic = asked == "auto";
  if (automatic && world.size() > 1 && !built_with_nccl()) return {};
  const Device device = device_for(asked, world.local_rank());
  if (device.kind == Device::Kind::cuda && world.size() > 1 && !built_with_nccl())
    throw UserError(
        "training.device is \"cuda\" with {} ranks, but this program was built without NCCL; one rank, or "
        "cpu, is possible",
        world.size());
  if (automatic && max_over(ranks, device.kind == Device::Kind::cpu ? 1 : 0) == 1) return {};
  const std::string fault = shared_device(world, ranks, device);
  if (fault.empty()) return device;
  if (automatic) return {};
  throw SystemError("{}: each rank needs one of its own", fault);
}

}  // namespace

std::vector<int> all_ranks(const World& world) {
  std::vector<int> ranks(as_index(world.size()));
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

RunSettings choose_settings(const TrainingConfig& training, World& world) {
  const std::unique_ptr<Communicator> ranks = world.group("settings", all_ranks(world));
  RunSettings settings;
  settings.deterministic = training.deterministic;
  settings.graphs = training.enable_cuda_graph;
  settings.matmul_algorithms = training.matmul_algorithms;
  settings.device = choose_device(training.device, world, *ranks);
  if (settings.device.kind == Device::Kind::cuda && world.size() > 1 && world.rank() == 0 &&
      device_queues() > 0 && device_queues() < kDeviceQueues)
    log::warning(
        "CUDA_DEVICE_MAX_CONNECTIONS is {}: streams that share a queue hold each other up, which may end in "
        "a deadlock between GPUs; leave it unset, or {}",
        device_queues(), kDeviceQueues);
  settings.threads = static_cast<int>(-max_over(*ranks, -threads_for(world.local_size())));
  const bool has_bf16 = settings.device.kind == Device::Kind::cuda || cpu_has_bf16();
  const bool bf16_everywhere = max_over(*ranks, has_bf16 ? 0 : 1) == 0;
  settings.dtype = training.dtype != "auto" ? training.dtype : bf16_everywhere ? "bf16" : "fp32";
  return settings;
}

std::string device_table(World& world, Communicator& ranks, Device mine) {
  if (mine.kind == Device::Kind::cpu) return {};
  const DeviceIdentity identity = identity_of(mine);
  const std::string row = fmt::format("{:<16} {}, {}, {}", world.host(world.rank()), name_of(mine),
                                      identity.bus_id, identity.name);
  std::string table = "rank  host             device\n";
  int rank = 0;
  for (const std::vector<std::byte>& bytes : gather_bytes(ranks, as_bytes(row)))
    table += fmt::format("{:>4}  {}\n", rank++, as_text(bytes));
  return table;
}

DevicePeak peak_of_all(Communicator& ranks, const RunSettings& settings) {
  const DevicePeak mine = peak_of(settings.device, precision_of(settings.dtype).compute, settings.threads);
  double sum = mine.flops.value_or(0.0);
  ranks.all_reduce(TensorView(&sum, DType::f64, {1}), ReduceOp::sum).wait();
  const std::string missing = mine.flops ? "" : mine.source;
  for (const std::vector<std::byte>& bytes : gather_bytes(ranks, as_bytes(missing)))
    if (!bytes.empty()) return {std::nullopt, std::string(as_text(bytes))};
  return {sum, fmt::format("{}, {}, all ranks", mine.source, settings.dtype)};
}

std::unique_ptr<Backend> make_backend(const RunSettings& settings, const World& world,
                                      std::int64_t host_bytes) {
  return make_backend({settings.device, settings.threads, fmt::format("rank {}", world.rank()),
                       settings.deterministic, settings.graphs, settings.matmul_algorithms, host_bytes});
}

}  // namespace headwater
