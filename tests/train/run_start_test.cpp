#include "headwater/train/run_start.h"

#include <gtest/gtest.h>

namespace headwater {
namespace {

// tests/cuda/emulation_full_test.py has the checkpoints.
TEST(OtherLibrary, IsToldOfWhereGpusComputedThenAndNow) {
  EXPECT_EQ(other_library(130100, 130100), std::nullopt);
  EXPECT_EQ(other_library(0, 130100), std::nullopt);  // a checkpoint of a CPU, or from before the key
  EXPECT_EQ(other_library(130100, 0), std::nullopt);
  const std::string told = other_library(120803, 130100).value();
  EXPECT_TRUE(told.starts_with("cuBLASLt is 130100, but was 120803 when the checkpoint was written: "))
      << told;
}

}  // namespace
}  // namespace headwater
