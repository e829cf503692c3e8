#pragma once
// Where each rank stands: an ordered list of named axes, the first fastest. Arithmetic only; communicators
// are made from the groups that it names. The order is that of Axis; a group is any subset of the axes.

#include "headwater/model/axis.h"

#include <array>
#include <string>
#include <vector>

namespace headwater {

class ProcessGrid {
 public:
  // How many ranks share a layer (kTensorAxes), of which each `repeat` neighbours hold the same KV heads; how
  // many are on the context and pipeline axes; data is what is left of `ranks`. Throws UserError where
  // `ranks` does not divide, naming the counts that would.
  static ProcessGrid make(int ranks, int tensor, int context, int pipeline, int repeat = 1);

  int ranks() const;
  int size(Axis axis) const { return sizes_[static_cast<std::size_t>(axis)]; }
  int size(AxisSet axes) const;  // of a group over these axes
  int coordinate(int rank, Axis axis) const;
  int coordinate(int rank, AxisSet axes) const;  // its place in its group
  // The ranks that share all coordinates of `rank` but those on `axes`, in rank order.
  std::vector<int> group(int rank, AxisSet axes) const;
  std::string describe(int rank) const;  // "rank 5 (data 1, pipeline 2)"

 private:
  std::array<int, kAxes> sizes_{1, 1, 1, 1, 1};
};

}  // namespace headwater
