#include "headwater/tensor/slice.h"

#include "headwater/base/random.h"

#include <gtest/gtest.h>

#include <map>

namespace headwater {
namespace {

// Returns, by plain counting, which element of the tensor each element of the slice is.
std::vector<std::int64_t> elements_of(const Slice& slice, const Shape& shape) {
  std::vector<std::int64_t> elements;
  for (std::int64_t i = slice.first; i < slice.first + slice.count; ++i) {
    std::int64_t rest = i, stride = 1, element = 0;
    for (int dim = shape.rank() - 1; dim >= 0; --dim) {
      element += (slice.box.begin[dim] + rest % slice.box.size[dim]) * stride;
      rest /= slice.box.size[dim];
      stride *= shape[dim];
    }
    elements.push_back(element);
  }
  return elements;
}

// A random number from 0 to `most`; small ones are more frequent.
std::int64_t draw_small(RandomKey key, std::uint64_t& counter, std::int64_t most) {
  const double u = uniform(key, counter++);
  return static_cast<std::int64_t>(u * u * u * static_cast<double>(most + 1));
}

Slice random_slice(const Shape& shape, RandomKey key, std::uint64_t& counter) {
  std::vector<std::int64_t> begin, size;
  for (int dim = 0; dim < shape.rank(); ++dim) {
    begin.push_back(draw_small(key, counter, shape[dim] - 1));
    size.push_back(shape[dim] - begin.back() - draw_small(key, counter, shape[dim] - begin.back() - 1));
  }
  Slice slice{{Shape(begin), Shape(size)}, 0, 0};
  slice.first = draw_small(key, counter, slice.box.size.elements());
  slice.count = slice.box.size.elements() - slice.first;
  slice.count -= draw_small(key, counter, slice.count);
  return slice;
}

TEST(Slice, RunsAreTheSharedElements) {
  const RandomKey key{7};
  std::uint64_t counter = 0;
  int overlaps = 0;
  for (const Shape& shape : {Shape{11}, Shape{5, 7}, Shape{3, 4, 5}, Shape{2, 3, 2, 4}}) {
    for (int trial = 0; trial < 500; ++trial) {
      const Slice from = random_slice(shape, key, counter), to = random_slice(shape, key, counter);
      const auto from_elements = elements_of(from, shape), to_elements = elements_of(to, shape);
      std::map<std::int64_t, std::int64_t> expected, found;  // place in `to` -> place in `from`
      for (std::size_t i = 0; i < from_elements.size(); ++i)
        for (std::size_t j = 0; j < to_elements.size(); ++j)
          if (from_elements[i] == to_elements[j])
            expected[static_cast<std::int64_t>(j)] = static_cast<std::int64_t>(i);
      const std::int64_t shared =
          for_shared_runs(from, to, [&](std::int64_t a, std::int64_t b, std::int64_t count) {
            for (std::int64_t i = 0; i < count; ++i) EXPECT_TRUE(found.emplace(b + i, a + i).second);
          });
      ASSERT_EQ(found, expected) << to_string(from) << " and " << to_string(to) << " of " << to_string(shape);
      ASSERT_EQ(shared, static_cast<std::int64_t>(expected.size()));
      overlaps += shared > 1 ? 1 : 0;
    }
  }
  EXPECT_GT(overlaps, 500);  // of 2000: what is drawn does meet
}

TEST(Slice, WholeTensorsAreOneRun) {
  int runs = 0;
  for_shared_runs(whole({4, 5, 6}), whole({4, 5, 6}), [&](auto, auto, std::int64_t count) {
    ++runs;
    EXPECT_EQ(count, 120);
  });
  EXPECT_EQ(runs, 1);
}

TEST(Slice, KnowsWhatLiesWithin) {
  EXPECT_TRUE(lies_within(whole({4, 5}), {4, 5}));
  EXPECT_TRUE(lies_within(part({4, 5}, 1, 2, 3), {4, 5}));
  EXPECT_FALSE(lies_within(whole({4, 6}), {4, 5}));
  EXPECT_FALSE(lies_within(whole({20}), {4, 5}));
  EXPECT_FALSE(lies_within({{{3, 0}, {2, 5}}, 0, 10}, {4, 5}));
  EXPECT_FALSE(lies_within({{{0, 0}, {2, 5}}, 5, 6}, {4, 5}));
  EXPECT_FALSE(lies_within({{{0, 0}, {2, 5}}, 11, 0}, {4, 5}));
}

}  // namespace
}  // namespace headwater
