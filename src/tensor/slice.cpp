#include "headwater/tensor/slice.h"

#include "headwater/base/error.h"

#include <algorithm>
#include <array>

namespace headwater {
namespace {

// Two boxes of the same tensor, described by as few dimensions as possible: trailing dimensions along which
// both boxes are equal are folded into the dimension before, so that runs get as long as possible.
struct FoldedBoxes {
  using Dims = std::array<std::int64_t, Shape::kMaxRank>;
  int rank = 1;
  Dims from_begin{}, from_size{1, 1, 1, 1}, to_begin{}, to_size{1, 1, 1, 1};

  FoldedBoxes(const Box& from, const Box& to) {
    rank = std::max(1, from.size.rank());
    for (int dim = 0; dim < from.size.rank(); ++dim) {
      const auto d = static_cast<std::size_t>(dim);
      from_begin[d] = from.begin[dim];
      from_size[d] = from.size[dim];
      to_begin[d] = to.begin[dim];
      to_size[d] = to.size[dim];
    }
    while (rank > 1) {
      const auto last = static_cast<std::size_t>(rank - 1), before = last - 1;
      if (from_begin[last] != to_begin[last] || from_size[last] != to_size[last]) break;
      const std::int64_t size = from_size[last];
      from_begin[before] *= size;
      from_size[before] *= size;
      to_begin[before] *= size;
      to_size[before] *= size;
      --rank;
    }
  }
};

Shape zeros(int rank) {
  const std::array<std::int64_t, Shape::kMaxRank> none{};
  return Shape(std::span(none).first(static_cast<std::size_t>(rank)));
}

}  // namespace

Slice whole(const Shape& shape) { return {{zeros(shape.rank()), shape}, 0, shape.elements()}; }

Slice part(const Shape& shape, int dimension, std::int64_t begin, std::int64_t count) {
  HW_CHECK(dimension >= 0 && dimension < shape.rank() && begin >= 0 && count >= 0 &&
               count <= shape[dimension] - begin,
           "[{}, {} + {}) along dimension {} of {}", begin, begin, count, dimension, to_string(shape));
  std::array<std::int64_t, Shape::kMaxRank> start{}, size{};
  for (int dim = 0; dim < shape.rank(); ++dim) size[static_cast<std::size_t>(dim)] = shape[dim];
  start[static_cast<std::size_t>(dimension)] = begin;
  size[static_cast<std::size_t>(dimension)] = count;
  const auto rank = static_cast<std::size_t>(shape.rank());
  const Box box{Shape(std::span(start).first(rank)), Shape(std::span(size).first(rank))};
  return {box, 0, box.size.elements()};
}

bool lies_within(const Slice& slice, const Shape& shape) {
  const Box& box = slice.box;
  if (box.begin.rank() != shape.rank() || box.size.rank() != shape.rank()) return false;
  for (int dim = 0; dim < shape.rank(); ++dim)
    if (box.begin[dim] > shape[dim] || box.size[dim] > shape[dim] - box.begin[dim]) return false;
  return slice.first >= 0 && slice.count >= 0 && slice.first <= box.size.elements() &&
         slice.count <= box.size.elements() - slice.first;
}

std::string to_string(const Slice& slice) {
  return fmt::format("elements [{}, {}) of the box of {} at {}", slice.first, slice.first + slice.count,
                     to_string(slice.box.size), to_string(slice.box.begin));
}

std::int64_t for_shared_runs(const Slice& from, const Slice& to,
                             const std::function<void(std::int64_t, std::int64_t, std::int64_t)>& run) {
  HW_CHECK(from.box.size.rank() == to.box.size.rank(), "slices of {} and {} dimensions", from.box.size.rank(),
           to.box.size.rank());
  if (from.count == 0 || to.count == 0) return 0;
  const FoldedBoxes boxes(from.box, to.box);
  FoldedBoxes::Dims begin{}, end{};
  for (std::size_t d = 0; d < static_cast<std::size_t>(boxes.rank); ++d) {
    begin[d] = std::max(boxes.from_begin[d], boxes.to_begin[d]);
    end[d] = std::min(boxes.from_begin[d] + boxes.from_size[d], boxes.to_begin[d] + boxes.to_size[d]);
    if (begin[d] >= end[d]) return 0;
  }

  const auto last = static_cast<std::size_t>(boxes.rank - 1);
  FoldedBoxes::Dims at = begin;
  std::int64_t shared = 0;
  for (;;) {  // one row of the boxes' common part each time
    std::int64_t from_index = 0, to_index = 0;
    for (std::size_t d = 0; d <= last; ++d) {
      from_index = from_index * boxes.from_size[d] + at[d] - boxes.from_begin[d];
      to_index = to_index * boxes.to_size[d] + at[d] - boxes.to_begin[d];
    }
    const std::int64_t skip = std::max({std::int64_t{0}, from.first - from_index, to.first - to_index});
    const std::int64_t stop = std::min(
        {end[last] - begin[last], from.first + from.count - from_index, to.first + to.count - to_index});
    if (skip < stop) {
      run(from_index + skip - from.first, to_index + skip - to.first, stop - skip);
      shared += stop - skip;
    }
    std::size_t d = last;
    while (d > 0 && ++at[d - 1] == end[d - 1]) {
      at[d - 1] = begin[d - 1];
      --d;
    }
    if (d == 0) return shared;
  }
}

}  // namespace headwater
