// Interleaved 1F1B (Narayanan et al., SC 2021, arXiv 2104.04473, section 2.2.2), in Megatron-LM's order where
// the micro-batches are a multiple of P: they go in rounds of P, a round through a rank's chunks one after
// another, its backwards through them in reverse; 1F1B is then run over that list of forwards and that list
// of backwards.
//
// Elsewhere the rounds are as even as can be and none shorter than P, the longer first: a shorter one would
// leave every rank waiting once per chunk, and one longer than the first could not be covered by the forwards
// that are ahead. Fewer micro-batches than P run as the round of P without those that are missing, which
// nothing waits for.

#include "headwater/base/error.h"
#include "headwater/schedule/schedule.h"

#include <algorithm>

namespace headwater {
namespace {

struct Unit {
  int micro_batch, chunk;
};

// Returns the first micro-batch of each round and, behind them, the end of the last.
std::vector<int> rounds_of(int ranks, int micro_batches) {
  const int rounds = micro_batches / ranks, longer = micro_batches % rounds;
  std::vector<int> starts;
  for (int i = 0; i <= rounds; ++i) starts.push_back(i * (micro_batches / rounds) + std::min(i, longer));
  return starts;
}

// Returns all (micro-batch, chunk) in the order in which every rank runs their forwards, or their backwards.
std::vector<Unit> units_of(const std::vector<int>& rounds, int chunks, bool forward) {
  std::vector<Unit> units;
  for (std::size_t round = 0; round + 1 < rounds.size(); ++round)
    for (int i = 0; i < chunks; ++i)
      for (int m = rounds[round]; m < rounds[round + 1]; ++m)
        units.push_back({m, forward ? i : chunks - 1 - i});
  return units;
}

}  // namespace

Schedule interleaved(int ranks, int chunks, int micro_batches) {
  HW_CHECK(micro_batches >= 1, "{} micro-batches", micro_batches);
  Schedule schedule{"interleaved", Placement(ranks, chunks), micro_batches, true, {}};
  const std::vector<int> rounds = rounds_of(ranks, std::max(micro_batches, ranks));
  const std::vector<Unit> forwards = units_of(rounds, chunks, true),
                          backwards = units_of(rounds, chunks, false);
  for (int rank = 0; rank < ranks; ++rank) {
    auto& actions = schedule.actions.emplace_back();
    const auto add = [&](ActionKind kind, const Unit& unit) {
      if (unit.micro_batch < micro_batches)
        actions.push_back({kind, unit.micro_batch, schedule.placement.stage_of(rank, unit.chunk)});
    };
    // `ahead` forwards come before the first pair. Where a rank has several chunks, that is two for each
    // later rank: one to reach the last rank, one to cover the way back.
    const int way = (ranks - 1 - rank) * (chunks > 1 ? 2 : 1);
    const auto ahead = std::min(static_cast<std::size_t>(way + (chunks - 1) * rounds[1]), forwards.size());
    for (std::size_t i = 0; i < ahead; ++i) add(ActionKind::forward, forwards[i]);
    for (std::size_t i = 0; i < backwards.size(); ++i) {
      if (i + ahead < forwards.size()) add(ActionKind::forward, forwards[i + ahead]);
      add(ActionKind::backward, backwards[i]);
    }
  }
  return schedule;
}

}  // namespace headwater
