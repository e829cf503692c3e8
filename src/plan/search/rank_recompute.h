#pragma once
// What the stages of one rank recompute so that they fit into its memory together, at the least cost in time.

#include "stage_costs.h"

#include <vector>

namespace headwater {

struct RankChunk {
  int stage = 0, first = 0, last = 0;  // layers [first, last) of the model
  StageRecompute recompute;
  int layers() const { return last - first; }
};

class RankRecompute {
 public:
  // which must outlive it
  explicit RankRecompute(const PartitionProblem& problem) : problem_(problem), costs_(problem) {}

  // Sets `recompute` of each; false: they do not fit. Exact for one chunk. Of several all are selective, or
  // layers are recomputed in full, first where most micro-batches are kept, whichever costs less.
  bool choose(std::vector<RankChunk>& chunks) const;
  StageCost cost(const RankChunk& chunk) const {
    return costs_.cost(chunk.stage, chunk.first, chunk.last, chunk.recompute);
  }

 private:
  bool fits(const std::vector<RankChunk>& chunks) const;
  bool in_full(std::vector<RankChunk>& chunks) const;
  double seconds(const std::vector<RankChunk>& chunks) const;

  const PartitionProblem& problem_;
  const StageCosts costs_;
};

}  // namespace headwater
