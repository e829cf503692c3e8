#pragma once
// Seconds and bytes of every range of layers on every stage, and the least recomputation with which it fits: what the
// search for layer counts asks. Pure: it sees numbers, no model. Sums are taken once; a question costs a few additions.

#include "headwater/plan/unlinked_play.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace headwater {

struct LayerCost {
  StageSeconds seconds;
  double again_selective = 0.0, again_full = 0.0;            // seconds that recomputation adds to backward
  std::int64_t kept = 0, kept_selective = 0, kept_full = 0;  // bytes per micro-batch in flight
  std::int64_t state = 0;                                    // weights, gradients, optimizer
};

// Of embedding and head, which lie at the ends whatever the layers.
struct EndCost {
  StageSeconds seconds;
  std::int64_t kept = 0, state = 0;
};

struct PartitionProblem {
  std::vector<LayerCost> layers;
  EndCost embedding, head;
  int micro_batches = 1;
  std::vector<int> in_flight;          // per stage: micro-batches that it keeps at most
  std::int64_t working = 0;            // of every stage, whatever its layers
  std::int64_t working_recompute = 0;  // more, where any layer is recomputed
  std::int64_t capacity = 0;           // of a stage
  bool may_recompute = true;

  int stages() const { return static_cast<int>(in_flight.size()); }
};

// The first `full_layers` in full and the others not at all; or every layer selectively.
struct StageRecompute {
  bool selective = false;
  int full_layers = 0;
  bool operator==(const StageRecompute&) const = default;
};

struct StageCost {
  StageSeconds seconds;
  std::int64_t bytes = 0;
};

class StageCosts {
 public:
  explicit StageCosts(const PartitionProblem& problem);  // which must outlive it

  // What a stage takes with layers [first, last).
  StageCost cost(int stage, int first, int last, StageRecompute recompute) const;
  // What costs least time of all that fits; nothing: not even full recomputation does.
  std::optional<StageRecompute> least_recompute(int stage, int first, int last) const;

 private:
  struct Sums {  // over layers [0, i)
    StageSeconds seconds;
    double again_selective = 0.0, again_full = 0.0;
    std::int64_t kept = 0, kept_selective = 0, kept_full = 0, state = 0;
  };
  bool fits(int stage, int first, int last, StageRecompute recompute) const {
    return cost(stage, first, last, recompute).bytes <= problem_.capacity;
  }
  double again(int first, int last, StageRecompute recompute) const;

  const PartitionProblem& problem_;
  std::vector<Sums> sums_;
};

}  // namespace headwater
