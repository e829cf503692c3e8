#include "layout_price.h"

#include "headwater/base/index.h"

#include <algorithm>

namespace headwater {
LayoutPricer::LayoutPricer(const PartitionProblem& problem, const Schedule& schedule)
    : problem_(problem),
      placement_(schedule.placement),
      micro_batches_(schedule.micro_batches),
      recompute_(problem),
      path_(schedule) {}

std::optional<PricedLayout> LayoutPricer::price(const std::vector<int>& layers) const {
  PricedLayout priced;
  priced.layers = layers;
  std::vector<RankChunk> all;
  for (int stage = 0, first = 0; stage < placement_.stages(); ++stage) {
    all.push_back({stage, first, first + layers[as_index(stage)], {}});
    first = all.back().last;
  }
  std::vector<StageSeconds> seconds(all.size());
  std::vector<double> reduce, update;
  for (int rank = 0; rank < placement_.ranks(); ++rank) {
    std::vector<RankChunk> chunks;
    for (int c = 0; c < placement_.chunks(); ++c)
      chunks.push_back(all[as_index(placement_.stage_of(rank, c))]);
    if (!recompute_.choose(chunks)) return std::nullopt;
    double load = 0.0, rank_reduce = 0.0, rank_update = 0.0;
    for (const RankChunk& chunk : chunks) {
      all[as_index(chunk.stage)] = chunk;
      const StageCost cost = recompute_.cost(chunk);
      seconds[as_index(chunk.stage)] = cost.seconds;
      load += cost.seconds.total();
      rank_reduce += cost.reduce;
      rank_update += cost.update;
    }
    priced.loads.push_back(load);
    reduce.push_back(rank_reduce);
    update.push_back(rank_update);
  }
  for (const RankChunk& chunk : all) priced.recompute.push_back(chunk.recompute);
  const std::vector<double> ends = path_.ends(seconds, problem_.links);
  for (std::size_t r = 0; r < ends.size(); ++r)
    priced.seconds = std::max(priced.seconds, ends[r] + reduce[r]);
  priced.seconds += *std::max_element(update.begin(), update.end());
  priced.seconds +=
      (problem_.micro_batches - micro_batches_) * *std::max_element(priced.loads.begin(), priced.loads.end());
  return priced;
}

}  // namespace headwater
