#include "headwater/schedule/placement.h"

#include "headwater/base/error.h"

namespace headwater {

Placement::Placement(int ranks, int chunks, bool folded) : ranks_(ranks), chunks_(chunks), folded_(folded) {
  HW_CHECK(ranks >= 1 && chunks >= 1, "a placement of {} chunks on each of {} ranks", chunks, ranks);
  HW_CHECK(!folded || chunks == 2, "a folded placement takes 2 chunks, not {}", chunks);
}

int Placement::rank_of(int stage) const {
  HW_CHECK(stage >= 0 && stage < stages(), "stage {} of {}", stage, stages());
  return folded_ && stage >= ranks_ ? stages() - 1 - stage : stage % ranks_;
}

int Placement::chunk_of(int stage) const {
  HW_CHECK(stage >= 0 && stage < stages(), "stage {} of {}", stage, stages());
  return stage / ranks_;
}

int Placement::stage_of(int rank, int chunk) const {
  HW_CHECK(rank >= 0 && rank < ranks_ && chunk >= 0 && chunk < chunks_, "chunk {} of rank {}", chunk, rank);
  return folded_ && chunk == 1 ? stages() - 1 - rank : chunk * ranks_ + rank;
}

}  // namespace headwater
