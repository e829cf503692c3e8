#include "headwater/bench/measure_machine.h"

#include "headwater/backend/cpu_backend.h"
#include "headwater/train/run_setup.h"

#include <unistd.h>

#include <set>

namespace headwater {
namespace {

double mean_over(Communicator& ranks, double value) {
  ranks.all_reduce(TensorView(&value, DType::f64, {1}), ReduceOp::sum).wait();
  return value / ranks.size();
}

// Measures the link between rank 0 and the first other rank whose host is, or is not, rank 0's. Other ranks
// wait.
std::optional<LinkSpeed> link_from_first(World& world, Communicator& ranks, bool same_host) {
  int peer = 1;
  while (peer < world.size() && (world.host(peer) == world.host(0)) != same_host) ++peer;
  if (peer == world.size()) return std::nullopt;
  std::optional<LinkSpeed> speed;
  if (world.rank() == 0 || world.rank() == peer) speed = measure_link(*world.group("link", {0, peer}));
  barrier(ranks);
  return speed;
}

}  // namespace

MachineFigures measure_machine(World& world, int threads) {
  const std::unique_ptr<Communicator> ranks = world.group("machine", all_ranks(world));

  MachineFigures figures;
  figures.name = world.host(0);
  std::set<std::string> hosts;
  for (int rank = 0; rank < world.size(); ++rank) hosts.insert(world.host(rank));
  figures.nodes = static_cast<int>(hosts.size());
  figures.devices_per_node = static_cast<int>(max_over(*ranks, world.local_size()));
  figures.memory_bytes = std::int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE) / world.local_size();
  barrier(*ranks);
  figures.memory_bandwidth = mean_over(*ranks, measure_memory_bandwidth(threads));
  for (const char* dtype : {"fp32", "bf16"}) {
    barrier(*ranks);
    figures.peak_flops[dtype] = mean_over(*ranks, measure_matmul_flops(precision_of(dtype).compute, threads));
  }
  figures.intra_node = link_from_first(world, *ranks, true);
  figures.inter_node = link_from_first(world, *ranks, false);
  return figures;
}

}  // namespace headwater
