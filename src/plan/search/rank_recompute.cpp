#include "rank_recompute.h"

#include <algorithm>

namespace headwater {

bool RankRecompute::fits(const std::vector<RankChunk>& chunks) const {
  std::int64_t bytes = problem_.rank_fixed, working = 0;
  for (const RankChunk& chunk : chunks) {
    const StageCost all = cost(chunk);
    bytes += all.bytes;
    working = std::max(working, all.working);
  }
  return bytes + working <= problem_.capacity;
}

double RankRecompute::seconds(const std::vector<RankChunk>& chunks) const {
  double sum = 0.0;
  for (const RankChunk& chunk : chunks) sum += cost(chunk).seconds.total();
  return sum;
}

// Recomputes whole chunks in full, beginning with those that keep most micro-batches, until all fit; of the
// last one only as many layers as that takes.
bool RankRecompute::in_full(std::vector<RankChunk>& chunks) const {
  std::vector<RankChunk*> order;
  for (RankChunk& chunk : chunks) order.push_back(&chunk);
  const auto kept = [&](const RankChunk* c) {
    return problem_.needs[static_cast<std::size_t>(c->stage)].slots.slots;
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](const auto* a, const auto* b) { return kept(a) > kept(b); });
  for (RankChunk* chunk : order) {
    int& full = chunk->recompute.full_layers;
    full = chunk->layers();
    if (!fits(chunks)) continue;
    int too_few = 0, enough = full;
    while (enough - too_few > 1) {
      full = (too_few + enough) / 2;
      (fits(chunks) ? enough : too_few) = full;
    }
    full = enough;
    return true;
  }
  return false;
}

bool RankRecompute::choose(std::vector<RankChunk>& chunks) const {
  if (!problem_.recompute.empty()) {
    for (RankChunk& chunk : chunks) {
      const auto fixed = costs_.fixed_recompute(chunk.stage, chunk.layers());
      if (!fixed) return false;
      chunk.recompute = *fixed;
    }
    return fits(chunks);
  }
  if (chunks.size() == 1) {
    const auto least = costs_.least_recompute(chunks[0].stage, chunks[0].first, chunks[0].last);
    if (least) chunks[0].recompute = *least;
    return least.has_value();
  }
  if (fits(chunks)) return true;
  std::vector<RankChunk> selective = chunks, full = chunks;
  for (RankChunk& chunk : selective) chunk.recompute.selective = chunk.layers() > 0;
  const bool selective_fits = fits(selective), full_fits = in_full(full);
  if (!selective_fits && !full_fits) return false;
  chunks = !full_fits || (selective_fits && seconds(selective) <= seconds(full)) ? selective : full;
  return true;
}

}  // namespace headwater
