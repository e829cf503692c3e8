// Each instruction of ptx.cuh against the PTX manual's meaning, and against what a GPU gave where that is
// recorded.

#include "instructions.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

namespace headwater::conformance {
namespace {

double value_of(const Outcome& outcome, std::uint32_t word) {
  return outcome.floats ? static_cast<double>(std::bit_cast<float>(word)) : static_cast<double>(word);
}

TEST(Conformance, EveryInstructionMeansWhatTheManualSays) {
  for (const Outcome& outcome : all_outcomes()) {
    SCOPED_TRACE(outcome.name);
    ASSERT_EQ(outcome.words.size(), outcome.meaning.size());
    ASSERT_FALSE(outcome.words.empty());
    for (std::size_t i = 0; i < outcome.words.size(); ++i) {
      const double error = std::abs(value_of(outcome, outcome.words[i]) - outcome.meaning[i]);
      ASSERT_TRUE(error <= outcome.tolerance) << "word " << i << " is " << value_of(outcome, outcome.words[i])
                                              << " and should be " << outcome.meaning[i];
    }
  }
}

TEST(Conformance, EveryInstructionGivesWhatAGpuGave) {
  const char* elsewhere = std::getenv("HEADWATER_SOURCE_DIR");  // set where the program has been carried to
  std::ifstream file(std::string(elsewhere != nullptr ? elsewhere : HEADWATER_SOURCE_DIR) +
                     "/tests/conformance/expected.tsv");
  if (!file) GTEST_SKIP() << "no GPU has written tests/conformance/expected.tsv yet";
  std::map<std::string, std::vector<std::uint32_t>> recorded;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string name, word;
    std::getline(fields, name, '\t');
    while (std::getline(fields, word, '\t'))
      recorded[name].push_back(static_cast<std::uint32_t>(std::stoul(word, nullptr, 16)));
  }
  for (const Outcome& outcome : all_outcomes()) {
    SCOPED_TRACE(outcome.name);
    const std::vector<std::uint32_t>& words = recorded[outcome.name];
    ASSERT_EQ(words.size(), outcome.words.size());
    for (std::size_t i = 0; i < words.size(); ++i) {
      const double error = std::abs(value_of(outcome, outcome.words[i]) - value_of(outcome, words[i]));
      ASSERT_TRUE(error <= outcome.tolerance) << "word " << i;
    }
  }
}

}  // namespace
}  // namespace headwater::conformance
