#pragma once
// Answers what the search for layer counts asks: seconds and bytes of any range of layers on any virtual
// stage, and the least recomputation with which that fits. It sees numbers, no model. Sums over layers are
// taken once, so that an answer costs a few additions.

#include "headwater/config/run_config.h"
#include "headwater/layout/arena_layout.h"

#include "critical_path.h"

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

// The cost of embedding or head, which lie at the ends of the pipeline whatever its layers.
struct EndCost {
  StageSeconds seconds;
  SlotBytes kept;
  std::int64_t state = 0;
  std::int64_t working = 0;           // scratch of its passes
  double reduce = 0.0, update = 0.0;  // seconds at the end of a step
};

// Seconds at the end of a step.
struct EndSeconds {
  double reduce = 0.0, update = 0.0;
};

// The needs of a virtual stage whatever its layers, and the cost of the end of a step for each layer of the
// model on that stage.
struct StageNeeds {
  SlotCounts slots;              // most that are in use at the same time
  std::int64_t fixed = 0;        // bytes
  std::vector<EndSeconds> ends;  // by layer; empty: the end of a step costs nothing
};

struct PartitionProblem {
  std::vector<LayerCost> layers;
  EndCost embedding, head;
  int micro_batches = 1;
  std::vector<StageNeeds> needs;  // per virtual stage
  // scratch that a rank's layers share, by recomputation
  std::int64_t working = 0, working_selective = 0, working_full = 0;
  std::int64_t rank_fixed = 0;  // bytes that every rank needs
  std::int64_t capacity = 0;    // bytes that every rank has
  std::vector<double> links;    // seconds of a message between stage s and s + 1; empty: links are free
  // The recomputation of each stage, as parallel.recompute says it; empty: the least with which it fits.
  std::vector<RecomputeLayout::Entry> recompute;

  int stages() const { return static_cast<int>(needs.size()); }
  // The fewest layers that a stage may have: the first and the last may have none.
  int fewest(int stage) const { return stage == 0 || stage + 1 == stages() ? 0 : 1; }
};

// Either the first `full_layers` layers in full and the others not at all, or every layer selectively.
struct StageRecompute {
  bool selective = false;
  int full_layers = 0;
  bool operator==(const StageRecompute&) const = default;
};

struct StageCost {
  StageSeconds seconds;
  std::int64_t bytes = 0;             // that this stage has for itself
  std::int64_t working = 0;           // scratch, which the stages of a rank share
  double reduce = 0.0, update = 0.0;  // at the end of the step
};

class StageCosts {
 public:
  explicit StageCosts(const PartitionProblem& problem);  // `problem` must outlive it

  // The cost of a stage with layers [first, last) of the model.
  StageCost cost(int stage, int first, int last, StageRecompute recompute) const;
  // Whether it fits on a rank that has this stage alone.
  bool fits(int stage, int first, int last, StageRecompute recompute) const;
  // Returns the fastest recomputation that fits on such a rank, or the one that the problem fixes; nothing
  // where none fits.
  std::optional<StageRecompute> least_recompute(int stage, int first, int last) const;
  // Returns what the problem fixes for a stage with that many layers; nothing where it asks to recompute more
  // layers than the stage has.
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
  std::vector<std::vector<EndSeconds>> ends_;  // by stage, over layers [0, i); empty as in StageNeeds
};

}  // namespace headwater
