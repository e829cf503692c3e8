#pragma once
// A part of a global tensor: of the elements of a box, counted row by row, a range. So that a shard may be
// cut anywhere: a tensor-parallel rank holds a box, ZeRO-1 cuts a range out of it.

#include "headwater/tensor/shape.h"

#include <cstdint>
#include <functional>

namespace headwater {

struct Box {
  Shape begin;  // of the same rank as `size`
  Shape size;
  bool operator==(const Box&) const = default;
};

struct Slice {
  Box box;
  std::int64_t first = 0, count = 0;  // elements [first, first + count) of the box
  bool operator==(const Slice&) const = default;
};

Slice whole(const Shape& shape);
// All elements of the box that is [begin, begin + count) along `dimension` of `shape`, whole along the
// others.
Slice part(const Shape& shape, int dimension, std::int64_t begin, std::int64_t count);
bool lies_within(const Slice& slice, const Shape& shape);
std::string to_string(const Slice& slice);

// Calls `run(from_element, to_element, count)` for every run of elements that both slices hold and that is
// contiguous in both; the elements are counted from each slice's own first one. Returns how many elements
// they share.
std::int64_t for_shared_runs(const Slice& from, const Slice& to,
                             const std::function<void(std::int64_t, std::int64_t, std::int64_t)>& run);

}  // namespace headwater
