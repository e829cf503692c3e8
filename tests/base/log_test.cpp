#include "headwater/base/log.h"

#include <gtest/gtest.h>

#include <string>

namespace headwater {
namespace {

class Log : public testing::Test {
 protected:
  void TearDown() override {
    log::set_rank(0, 1);
    log::set_level(log::Level::info);
  }
  static std::string logged_at_every_level() {
    testing::internal::CaptureStderr();
    log::debug("d{}", 1);
    log::info("i{}", 2);
    log::warning("w{}", 3);
    log::error("e{}", 4);
    std::string text = testing::internal::GetCapturedStderr();
    std::string without_time;  // "[2000-01-01 00:00:00] " is 22 characters
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = text.find('\n', at);
      without_time += text.substr(at + 22, end + 1 - (at + 22));
      at = end + 1;
    }
    return without_time;
  }
};

TEST_F(Log, RankZeroShowsInfoAndAbove) {
  log::set_rank(0, 4);
  EXPECT_EQ(logged_at_every_level(), "i2\nwarning: w3\nerror: e4\n");
}

TEST_F(Log, OtherRanksShowWarningsWithTheirRank) {
  log::set_rank(3, 4);
  EXPECT_EQ(logged_at_every_level(), "rank 3: warning: w3\nrank 3: error: e4\n");
}

TEST_F(Log, DebugShowsEverythingOfEveryRank) {
  log::set_rank(1, 2);
  log::set_level(log::Level::debug);
  EXPECT_EQ(logged_at_every_level(), "rank 1: d1\nrank 1: i2\nrank 1: warning: w3\nrank 1: error: e4\n");
}

TEST_F(Log, ErrorLevelHidesTheRest) {
  log::set_level(log::Level::error);
  EXPECT_EQ(logged_at_every_level(), "error: e4\n");
}

TEST_F(Log, BracesInAMessageArePassedThrough) {
  testing::internal::CaptureStderr();
  log::write(log::Level::info, "{} and {1}");
  EXPECT_TRUE(testing::internal::GetCapturedStderr().ends_with("] {} and {1}\n"));
}

}  // namespace
}  // namespace headwater
