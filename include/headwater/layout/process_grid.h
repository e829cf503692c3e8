#pragma once
// Where each rank stands: an ordered list of named axes, the first fastest. Arithmetic only; communicators are made from
// the groups that it names. The default order is tensor, context, data, pipeline; a group is any subset of the axes.

#include "headwater/model/axis.h"

#include <array>
#include <string>
#include <vector>

namespace headwater {

class ProcessGrid {
 public:
  // Sizes of tensor, context and pipeline axes; data is what is left of `ranks`. Throws UserError where `ranks` does not
  // divide, naming the counts that would.
  static ProcessGrid make(int ranks, int tensor, int context, int pipeline);

  int ranks() const;
  int size(Axis axis) const { return sizes_[static_cast<std::size_t>(axis)]; }
  int coordinate(int rank, Axis axis) const;
  int rank_at(const std::array<int, kAxes>& coordinates) const;
  // The ranks that share all coordinates of `rank` but those on `axes`, in rank order.
  std::vector<int> group(int rank, AxisSet axes) const;
  std::string describe(int rank) const;  // "rank 5 (data 1, pipeline 2)"

 private:
  std::array<int, kAxes> sizes_{1, 1, 1, 1};
};

}  // namespace headwater
