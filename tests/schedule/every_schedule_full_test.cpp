#include "tests/schedule/every_schedule.h"

namespace headwater {
namespace {

TEST(EverySchedule, IsProvedAtEverySizeAndItsFaultsAreFound) {
  unsigned seed = 0;
  for (int ranks = 1; ranks <= 16; ++ranks) {
    for (int micro_batches = 1; micro_batches <= 64; ++micro_batches) {
      for (const Schedule& schedule : test::every_schedule(ranks, micro_batches, 4)) {
        test::prove(schedule);
        test::expect_planted_faults_found(schedule, ++seed);
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace headwater
