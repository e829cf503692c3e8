#include "hill_climb.h"

#include "headwater/base/index.h"

#include <algorithm>
#include <numeric>

namespace headwater {
namespace {

constexpr double kFaster = 1.0 - 1e-9;  // so that rounding does not count as faster

class Climb {
 public:
  Climb(PricedLayout from, const PartitionProblem& problem, const Placement& placement,
        const PriceLayout& price, std::int64_t tries)
      : best_(std::move(from)), problem_(problem), placement_(placement), price_(price), tries_(tries) {}

  PricedLayout run() {
    while (tries_ > 0 && (move(best_.layers, 1) || move(best_.layers, 2))) {
    }
    return std::move(best_);
  }

 private:
  // Returns all stages, those of the ranks with most work first.
  std::vector<int> by_load() const {
    std::vector<int> order(best_.layers.size());
    std::iota(order.begin(), order.end(), 0);
    const auto load = [&](int stage) { return best_.loads[as_index(placement_.rank_of(stage))]; };
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return load(a) > load(b); });
    return order;
  }

  // Tries all ways to move `moves` layers at once, starting from the layers `begin`. Stops at the first that
  // is faster than best_, makes it best_, and returns true.
  bool move(const std::vector<int>& begin, int moves) {
    const std::vector<int> order = by_load();
    for (auto from = order.begin(); from != order.end(); ++from) {
      if (begin[as_index(*from)] <= problem_.fewest(*from)) continue;
      for (auto to = order.rbegin(); to != order.rend(); ++to) {
        if (*from == *to) continue;
        std::vector<int> layers = begin;
        --layers[as_index(*from)];
        ++layers[as_index(*to)];
        if (moves > 1) {
          if (move(layers, moves - 1)) return true;
        } else if (better(layers)) {
          return true;
        }
        if (tries_ <= 0) return false;
      }
    }
    return false;
  }

  bool better(const std::vector<int>& layers) {
    --tries_;
    auto priced = price_(layers);
    if (!priced || priced->seconds >= best_.seconds * kFaster) return false;
    best_ = std::move(*priced);
    return true;
  }

  PricedLayout best_;
  const PartitionProblem& problem_;
  const Placement& placement_;
  const PriceLayout& price_;
  std::int64_t tries_;
};

}  // namespace

PricedLayout hill_climb(PricedLayout from, const PartitionProblem& problem, const Placement& placement,
                        const PriceLayout& price, std::int64_t tries) {
  return Climb(std::move(from), problem, placement, price, tries).run();
}

}  // namespace headwater
