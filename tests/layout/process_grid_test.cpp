#include "headwater/layout/process_grid.h"

#include "headwater/base/error.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace headwater {
namespace {

TEST(ProcessGrid, OrdersTensorFirstAndPipelineLast) {
  const ProcessGrid grid = ProcessGrid::make(48, 2, 3, 2);
  EXPECT_EQ(grid.ranks(), 48);
  EXPECT_EQ(grid.size(Axis::data), 4);
  for (int rank = 0; rank < grid.ranks(); ++rank)
    EXPECT_EQ(grid.coordinate(rank, Axis::tensor) + 2 * grid.coordinate(rank, Axis::context) +
                  6 * grid.coordinate(rank, Axis::data) + 24 * grid.coordinate(rank, Axis::pipeline),
              rank);
}

// Two KV heads on four tensor ranks: neighbours hold the same one.
TEST(ProcessGrid, FactorsTheTensorRanksWhereKvHeadsAreRepeated) {
  const ProcessGrid grid = ProcessGrid::make(8, 4, 1, 1, 2);
  EXPECT_EQ(grid.size(kTensorAxes), 4);
  EXPECT_EQ(grid.size(Axis::data), 2);
  EXPECT_EQ(grid.group(6, kTensorAxes), (std::vector<int>{4, 5, 6, 7}));
  EXPECT_EQ(grid.coordinate(6, kTensorAxes), 2);
  EXPECT_EQ(grid.group(6, {Axis::repeat}), (std::vector<int>{6, 7}));
  EXPECT_EQ(grid.coordinate(6, Axis::tensor), 1);
  EXPECT_EQ(grid.describe(6), "rank 6 (tensor 2, data 1)");
}

TEST(ProcessGrid, NamesGroups) {
  const ProcessGrid grid = ProcessGrid::make(8, 2, 1, 2);  // tensor 2, data 2, pipeline 2
  EXPECT_EQ(grid.group(5, {Axis::tensor}), (std::vector<int>{4, 5}));
  EXPECT_EQ(grid.group(5, {Axis::data}), (std::vector<int>{5, 7}));
  EXPECT_EQ(grid.group(5, {Axis::pipeline}), (std::vector<int>{1, 5}));
  EXPECT_EQ(grid.group(5, {Axis::tensor, Axis::data}), (std::vector<int>{4, 5, 6, 7}));
  EXPECT_EQ(grid.group(5, {Axis::context}), std::vector<int>{5});
  EXPECT_EQ(grid.group(5, {}), std::vector<int>{5});
  EXPECT_EQ(grid.group(5, {Axis::tensor, Axis::context, Axis::data, Axis::pipeline}).size(), 8U);
}

// Every rank is in exactly one group of each kind, and all of a group name the same one.
TEST(ProcessGrid, GroupsPartitionTheRanks) {
  const ProcessGrid grid = ProcessGrid::make(24, 2, 2, 3);
  for (AxisSet axes : {AxisSet{}, AxisSet{Axis::tensor}, AxisSet{Axis::data}, AxisSet{Axis::pipeline},
                       AxisSet{Axis::tensor, Axis::pipeline}, AxisSet{Axis::context, Axis::data}}) {
    std::set<std::vector<int>> groups;
    for (int rank = 0; rank < grid.ranks(); ++rank) {
      const std::vector<int> group = grid.group(rank, axes);
      EXPECT_TRUE(std::is_sorted(group.begin(), group.end()));
      EXPECT_TRUE(std::binary_search(group.begin(), group.end(), rank));
      for (int member : group) EXPECT_EQ(grid.group(member, axes), group);
      groups.insert(group);
    }
    std::size_t members = 0;
    for (const auto& group : groups) members += group.size();
    EXPECT_EQ(members, 24U);
  }
}

TEST(ProcessGrid, DescribesARankByTheAxesThatDivide) {
  EXPECT_EQ(ProcessGrid::make(6, 1, 1, 3).describe(5), "rank 5 (data 1, pipeline 2)");
  EXPECT_EQ(ProcessGrid::make(4, 4, 1, 1).describe(2), "rank 2 (tensor 2)");
  EXPECT_EQ(ProcessGrid::make(1, 1, 1, 1).describe(0), "rank 0");
}

std::string refusal(int ranks, int tensor, int context, int pipeline) {
  try {
    ProcessGrid::make(ranks, tensor, context, pipeline);
  } catch (const UserError& error) {
    return error.what();
  }
  return {};
}

TEST(ProcessGrid, NamesTheRankCountsThatWouldDo) {
  EXPECT_EQ(refusal(6, 1, 1, 4),
            "6 ranks cannot be shared out by parallel.pipeline_model_parallel_size 4: start 4 or 8 ranks");
  EXPECT_EQ(refusal(1, 1, 1, 2),
            "1 rank cannot be shared out by parallel.pipeline_model_parallel_size 2: start 2 ranks");
  EXPECT_EQ(refusal(12, 2, 1, 4),
            "12 ranks cannot be shared out by parallel.tensor_model_parallel_size 2 x "
            "parallel.pipeline_model_parallel_size 4 = 8: start 8 or 16 ranks");
  EXPECT_EQ(refusal(12, 2, 1, 3), "");
}

}  // namespace
}  // namespace headwater
