// A sample of every_schedule_full_test.cpp: sizes at and around where the orders change their form.

#include "tests/schedule/every_schedule.h"

#include <set>

namespace headwater {
namespace {

TEST(EverySchedule, IsProvedAndItsFaultsAreFound) {
  for (const int ranks : {1, 2, 3, 4, 5, 8, 16}) {
    std::set<int> counts = {1, 2, 3, 31, ranks, ranks + 1, 2 * ranks - 1, 2 * ranks, 2 * ranks + 1};
    if (ranks > 1) counts.insert(ranks - 1);
    unsigned seed = 0;
    for (const int micro_batches : counts) {
      for (const Schedule& schedule : test::every_schedule(ranks, micro_batches, ranks > 5 ? 2 : 4)) {
        test::prove(schedule);
        test::expect_planted_faults_found(schedule, ++seed);
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace headwater
