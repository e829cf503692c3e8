#pragma once
// Seconds and bytes of every range of layers on every virtual stage, and the least recomputation with which
// it fits: what the search for layer counts asks. Pure: it sees numbers, no model. Sums are taken once; a
// question costs a few additions.

#include "headwater/config/run_config.h"
#include "headwater/layout/arena_layout.h"

#include "quick_play.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace headwater {

struct LayerCost {
  StageSeconds seconds;
  double again_selective = 0.0, again_full = 0.0;  // seconds that recomputation adds to backward
  SlotBytes kept, kept_selective, kept_full;       // per slot in use
  std::int64_t state = 0;                          // weights, gradients, optimizer
};

// Of embedding and head, which lie at the ends whatever the layers.
struct EndCost {
  StageSeconds seconds;
  SlotBytes kept;
  std::int64_t state = 0;
  std::int64_t working = 0;  // scratch of its passes
  double reduce = 0.0, update = 0.0;
};

// What a virtual stage needs of its rank whatever its layers, and what becomes of each layer's gradients
// there.
struct StageNeeds {
  SlotCounts slots;                   // in use at most
  std::int64_t fixed = 0;             // bytes
  double reduce = 0.0, update = 0.0;  // seconds at the end of a step, of each layer
};

struct PartitionProblem {
  std::vector<LayerCost> layers;
  EndCost embedding, head;
  int micro_batches = 1;
  std::vector<StageNeeds> needs;  // per virtual stage
  // scratch that a rank's layers share, by recomputation
  std::int64_t working = 0, working_selective = 0, working_full = 0;
  std::int64_t rank_fixed = 0;  // bytes of every rank
  std::int64_t capacity = 0;    // bytes of a rank
  std::vector<double> links;    // seconds of a message between stage s and s + 1; empty: nothing
  // As parallel.recompute says, one per stage; empty: the least with which a stage fits.
  std::vector<RecomputeLayout::Entry> recompute;

  int stages() const { return static_cast<int>(needs.size()); }
  // The first and the last stage may have no layer.
  int fewest(int stage) const { return stage == 0 || stage + 1 == stages() ? 0 : 1; }
};

// The first `full_layers` in full and the others not at all; or every layer selectively.
struct StageRecompute {
  bool selective = false;
  int full_layers = 0;
  bool operator==(const StageRecompute&) const = default;
};

struct StageCost {
  StageSeconds seconds;
  std::int64_t bytes = 0;             // of this stage's own
  std::int64_t working = 0;           // scratch, which the stages of a rank share
  double reduce = 0.0, update = 0.0;  // at the end of the step
};

class StageCosts {
 public:
  explicit StageCosts(const PartitionProblem& problem);  // which must outlive it

  // What a stage takes with layers [first, last).
  StageCost cost(int stage, int first, int last, StageRecompute recompute) const;
  // Of a rank that has this stage alone.
  bool fits(int stage, int first, int last, StageRecompute recompute) const;
  // What costs least time of all that fits such a rank, or what the problem fixes; nothing: none does.
  std::optional<StageRecompute> least_recompute(int stage, int first, int last) const;
  // What the problem fixes for so many layers; nothing: it asks for more of them.
  std::optional<StageRecompute> fixed_recompute(int stage, int layers) const;

 private:
  struct Sums {  // over layers [0, i)
    StageSeconds seconds;
    double again_selective = 0.0, again_full = 0.0;
    SlotBytes kept, kept_selective, kept_full;
    std::int64_t state = 0;
  };
  double again(int first, int last, StageRecompute recompute) const;

  const PartitionProblem& problem_;
  std::vector<Sums> sums_;
};

}  // namespace headwater
