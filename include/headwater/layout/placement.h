#pragma once
// On which pipeline rank, and as which chunk of that rank, each virtual stage lies.

#include "headwater/config/run_config.h"

namespace headwater {

class Placement {
 public:
  // Virtual stage s lies on rank s mod P; with `folded` (ZB-V, two chunks) on s where s < P, else on 2P − 1 −
  // s.
  Placement(int ranks, int chunks, bool folded = false);
  bool folded() const { return folded_; }
  int ranks() const { return ranks_; }
  int chunks() const { return chunks_; }
  int stages() const { return ranks_ * chunks_; }
  int rank_of(int stage) const;
  int chunk_of(int stage) const;
  int stage_of(int rank, int chunk) const;

 private:
  int ranks_, chunks_;
  bool folded_;
};

// Of the config's pipeline size, chunks and schedule, which check_num_chunks has passed.
Placement placement_of(const ParallelConfig& parallel);

}  // namespace headwater
