// The search held against every way of sharing out a run, each with its layers searched to the end.

#include "src/plan/search/closest_to_fitting.h"
#include "src/plan/search/layer_search.h"
#include "tests/plan/search/small_search.h"

#include <gtest/gtest.h>

#include <limits>

namespace headwater {
namespace {

double best_of_all_ways(const SearchRequest& request) {
  double best = std::numeric_limits<double>::infinity();
  for (const PlanRequest& way : ways_to_share(request))
    if (const auto plan = search_layers(way)) best = std::min(best, plan->time.seconds);
  return best;
}

TEST(Search, LeavesOutNoWayThatIsFaster) {
  const SearchRequest unlimited = test::small_search(0, 1e9);
  const std::int64_t most = test::most_bytes(search(unlimited).best()),
                     least = test::most_bytes(closest_to_fitting(ways_to_share(unlimited)));
  ASSERT_GT(most, least);
  for (const std::int64_t memory : {std::int64_t{0}, least + (most - least) / 4})
    for (const double between_nodes : {1e9, 1e6}) {
      const SearchRequest request = test::small_search(memory, between_nodes);
      const SearchResult result = search(request);
      EXPECT_LE(result.best().time.seconds, 1.01 * best_of_all_ways(request))
          << memory << " bytes, " << between_nodes;
      EXPECT_TRUE(result.best().fits());
      EXPECT_FALSE(result.reasons.empty());
      for (std::size_t i = 1; i < result.plans.size(); ++i)
        EXPECT_GE(result.plans[i].time.seconds, result.plans[i - 1].time.seconds);
    }
}

}  // namespace
}  // namespace headwater
