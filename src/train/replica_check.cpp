#include "replica_check.h"

#include "headwater/base/hash.h"
#include "headwater/nn/model_units.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

namespace headwater {
namespace {

// The message by which a rank tells the others of one of its parameters. It is sent as it lies in memory.
struct Held {
  std::int64_t parameter = 0;  // its number in the model
  std::int64_t begin = 0;      // where the shard begins along the dimension that is split
  std::uint64_t hash = 0;
};

struct Holder {
  int rank = 0;
  std::uint64_t hash = 0;
};

void add(ContentHash& hash, Backend& backend, TensorView values) {
  std::vector<std::byte> host(values.bytes());
  backend.to_host(values, TensorView(host.data(), values.dtype, values.shape));
  hash.add(host);
}

std::vector<Held> hashes_of(Engine& engine, const std::vector<ParameterSpec>& model) {
  ParameterStore& store = engine.store();
  const bool masters = store.masters().data != store.weights().data && !store.layout().sharded();
  std::vector<Held> all;
  for (const ParameterPlace& place : store.layout().places()) {
    if (place.slice().count == 0) continue;  // a vocabulary shard of padding alone
    ContentHash hash;
    add(hash, engine.backend(), store.part(store.weights(), place));
    if (masters && place.spec.trained) add(hash, engine.backend(), store.part(store.masters(), place));
    const auto number = std::ranges::find(model, place.spec.name, &ParameterSpec::name) - model.begin();
    const int dimension = place.spec.split.dimension;
    all.push_back({number, dimension < 0 ? 0 : place.box.begin[dimension], hash.digest()});
  }
  return all;
}

// Returns the ranks whose hash is not the commonest one; all ranks where two hashes are as common.
std::vector<int> odd_ones(const std::vector<Holder>& holders) {
  std::map<std::uint64_t, std::size_t> counts;
  for (const Holder& holder : holders) ++counts[holder.hash];
  const auto by_count = [](const auto& a, const auto& b) { return a.second < b.second; };
  const auto most = *std::max_element(counts.begin(), counts.end(), by_count);
  const bool tie = std::ranges::count_if(counts, [&](const auto& c) { return c.second == most.second; }) > 1;
  std::vector<int> ranks;
  for (const Holder& holder : holders)
    if (tie || holder.hash != most.first) ranks.push_back(holder.rank);
  return ranks;
}

std::string fault_of(const ProcessGrid& grid, const std::string& name, const std::vector<Holder>& holders) {
  constexpr std::size_t kShown = 8;
  const std::vector<int> odd = odd_ones(holders);
  std::vector<std::string> shown;
  for (std::size_t i = 0; i < std::min(odd.size(), kShown); ++i) shown.push_back(grid.describe(odd[i]));
  if (odd.size() > kShown) shown.push_back(fmt::format("{} more", odd.size() - kShown));
  const bool tie = odd.size() == holders.size();
  return fmt::format(
      "the copies of {} are not the same bits: {} {} from {}", name, fmt::join(shown, ", "),
      odd.size() == 1 ? "differs" : "differ",
      tie ? "each other" : fmt::format("the {} other ranks that hold it", holders.size() - odd.size()));
}

}  // namespace

std::int64_t check_replicas(Engine& engine, std::int64_t step) {
  const RankLayout& layout = engine.layout();
  const std::vector<ParameterSpec> model = parameters(layout.request.model, layout.sharding);
  engine.store().wait_for_weights(engine.backend());
  const std::vector<Held> mine = hashes_of(engine, model);

  std::map<std::pair<std::int64_t, std::int64_t>, std::vector<Holder>> holders;
  const std::vector<std::vector<std::byte>> all =
      gather_bytes(engine.world_group(), std::as_bytes(std::span(mine)));
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    std::vector<Held> held(all[rank].size() / sizeof(Held));
    if (!held.empty()) std::memcpy(held.data(), all[rank].data(), all[rank].size());
    for (const Held& h : held) holders[{h.parameter, h.begin}].push_back({static_cast<int>(rank), h.hash});
  }

  std::int64_t compared = 0, different = 0;
  std::string first;
  for (const auto& [shard, ranks] : holders) {
    compared += ranks.size() > 1 ? 1 : 0;
    const std::uint64_t hash = ranks.front().hash;
    if (std::ranges::all_of(ranks, [hash](const Holder& h) { return h.hash == hash; })) continue;
    if (++different == 1)
      first = fault_of(layout.grid, model[static_cast<std::size_t>(shard.first)].name, ranks);
  }
  if (different > 0)
    throw SystemError(
        "after step {} {}{}; memory or a transfer has changed them: go on from a checkpoint of an earlier "
        "step",
        step, first, different > 1 ? fmt::format(" ({} tensors in all)", different) : "");
  return compared;
}

}  // namespace headwater
