#pragma once
// Which units of the model lie on which virtual stage: [embedding, layers…, head] cut into contiguous ranges,
// the first with the embedding, the last with the head; and which of its layers each recomputes. Checked
// before anything is allocated.

#include "headwater/config/run_config.h"
#include "headwater/model/model_spec.h"
#include "headwater/model/recompute.h"
#include "headwater/schedule/placement.h"

#include <string>
#include <vector>

namespace headwater {

struct StageUnits {
  int first = 0, last = 0;  // units [first, last)
  bool has_embedding = false, has_head = false;
  Recompute recompute = Recompute::none;  // of the first `recomputed` layers
  int recomputed = 0;
  int first_layer() const { return first + (has_embedding ? 1 : 0); }  // the unit
  int layers() const { return last - first_layer() - (has_head ? 1 : 0); }
  // Says what the backward of unit `unit` computes again. Embedding and head compute nothing again.
  Recompute recompute_of(int unit) const;
  // Whether the unit's input, or the gradient of its output, comes from another stage.
  bool receives_input(int unit) const { return unit == first && !has_embedding; }
  bool receives_gradient(int unit) const { return unit + 1 == last && !has_head; }
  std::string recompute_text() const;  // "none", "selective", "full", or "2 in full" where it has more than 2
};

// Where the virtual stages of a run lie: by its pipeline ranks, schedule and chunks, which check_num_chunks
// has passed.
Placement placement_of(const ParallelConfig& parallel);

// Returns layer counts that differ by one at most, which fit wherever any layout does: only where there are
// fewer layers than stages is a stage empty, and then the last or the first.
std::vector<std::int64_t> nearly_uniform(std::int64_t layers, std::int64_t stages);

// Bytes that a parameter takes where it is trained, and where it is not.
struct BytesPerParameter {
  double trained = 0.0, frozen = 0.0;
};

class StageLayout {
 public:
  // Throws UserError where counts, sum or zeros do not fit, naming what would.
  StageLayout(const ModelSpec& model, const ParallelConfig& parallel);

  int stages() const { return static_cast<int>(units_.size()); }
  const StageUnits& stage(int virtual_stage) const { return units_[static_cast<std::size_t>(virtual_stage)]; }
  int stage_of_unit(int unit) const;
  // A table for people: virtual stage, pipeline rank, layers, parameters, bytes of weights and optimizer.
  std::string table(const ModelSpec& model, const Placement& placement, BytesPerParameter bytes) const;

 private:
  void read_recompute(const ParallelConfig& parallel);
  std::vector<StageUnits> units_;
};

}  // namespace headwater
