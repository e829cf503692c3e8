#pragma once
// A part of a global tensor: a range of the elements of a box, which are counted row by row.
//
// Every shard can be described so: a tensor-parallel rank holds a box, and ZeRO-1 cuts a range out of its
// elements.

#include "headwater/tensor/shape.h"

#include <cstdint>
#include <functional>

namespace headwater {

struct Box {
  Shape begin;  // has as many dimensions as `size`
  Shape size;
  bool operator==(const Box&) const = default;
};

struct Slice {
  Box box;
  std::int64_t first = 0, count = 0;  // elements [first, first + count) of the box
  bool operator==(const Slice&) const = default;
};

// All elements of a tensor of shape `shape`.
Slice whole(const Shape& shape);
// All elements whose index along `dimension` lies in [begin, begin + count).
Slice part(const Shape& shape, int dimension, std::int64_t begin, std::int64_t count);
bool lies_within(const Slice& slice, const Shape& shape);
std::string to_string(const Slice& slice);

// Calls `run(from_element, to_element, count)` for every run of elements that both slices hold and that is
// contiguous in both. `from_element` is the run's first element counted from the first element of `from`,
// and `to_element` likewise. Returns how many elements the slices share.
std::int64_t for_shared_runs(const Slice& from, const Slice& to,
                             const std::function<void(std::int64_t, std::int64_t, std::int64_t)>& run);

}  // namespace headwater
