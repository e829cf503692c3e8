#pragma once
// Chooses what the stages of one rank recompute, so that they fit into its memory together in the least time.

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
  // `problem` must outlive it.
  explicit RankRecompute(const PartitionProblem& problem) : problem_(problem), costs_(problem) {}

  // Sets `recompute` of each chunk of the rank; returns false where they do not fit. The choice is the best
  // for one chunk. Where there are several it is the cheaper of two: all chunks selectively; or layers in
  // full, beginning with the chunk that keeps most micro-batches.
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
