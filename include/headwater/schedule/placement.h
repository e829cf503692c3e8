#pragma once
// A placement says on which pipeline rank, and as which chunk of that rank, each virtual stage lies.

namespace headwater {

class Placement {
 public:
  // Virtual stage s lies on rank s mod P. Where the placement is folded, which takes two chunks, the second
  // half of the stages comes back over the ranks: s lies on s where s < P, else on 2P − 1 − s.
  Placement(int ranks, int chunks, bool folded = false);
  bool folded() const { return folded_; }
  int ranks() const { return ranks_; }
  int chunks() const { return chunks_; }
  int stages() const { return ranks_ * chunks_; }
  int rank_of(int stage) const;
  int chunk_of(int stage) const;
  int stage_of(int rank, int chunk) const;
  bool operator==(const Placement&) const = default;

 private:
  int ranks_, chunks_;
  bool folded_;
};

}  // namespace headwater
