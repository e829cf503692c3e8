#include "headwater/data/sample_stream.h"

#include "tests/data/data_support.h"
#include "tests/support/temporary_folder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

namespace headwater {
namespace {

class SampleStreamTest : public testing::Test {
 protected:
  SampleStreamOptions options(const std::string& prefix, std::int64_t seq_length, bool shuffle) {
    SampleStreamOptions result;
    result.sources = {{prefix, 1.0}};
    result.seq_length = seq_length;
    result.vocab_size = 100000;
    result.seed = 1234;
    result.shuffle = shuffle;
    return result;
  }
  TemporaryFolder folder_;
};

TEST_F(SampleStreamTest, WindowsOverlapByOneToken) {
  const std::string prefix = write_dataset(folder_ / "d", {counted(20), counted(13, 20)});
  const SampleStream stream(options(prefix, 8, false));
  EXPECT_EQ(stream.samples_per_epoch(), 4);  // floor(32 / 8): the last window ends with the last token
  EXPECT_EQ(stream.tokens(), 33);
  for (std::int64_t n = 0; n < 12; ++n)
    EXPECT_EQ(stream.get(n), counted(9, static_cast<std::int32_t>(n % 4 * 8))) << n;
}

TEST_F(SampleStreamTest, TheEpochsSizeIsExact) {
  for (const std::int64_t tokens : {9, 16, 17, 24, 25}) {
    const std::string prefix = write_dataset(folder_ / "d", {counted(tokens)});
    EXPECT_EQ(SampleStream(options(prefix, 8, false)).samples_per_epoch(), (tokens - 1) / 8) << tokens;
  }
}

TEST_F(SampleStreamTest, ShuffledEpochsHoldEverySampleOnceInOrdersOfTheirOwn) {
  const std::string prefix = write_dataset(folder_ / "d", {counted(4 * 200 + 1)});
  const SampleStream stream(options(prefix, 4, true));
  std::vector<std::vector<std::int32_t>> orders;
  for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<std::int32_t> order;
    for (std::int64_t n = epoch * 200; n < (epoch + 1) * 200; ++n) {
      const Tokens sample = stream.get(n);
      EXPECT_EQ(sample, counted(5, sample[0]));
      order.push_back(sample[0] / 4);
    }
    EXPECT_EQ(std::set<std::int32_t>(order.begin(), order.end()).size(), 200u);
    orders.push_back(order);
  }
  EXPECT_NE(orders[0], orders[1]);
  EXPECT_NE(orders[1], orders[2]);
  EXPECT_FALSE(std::is_sorted(orders[0].begin(), orders[0].end()));

  SampleStreamOptions other = options(prefix, 4, true);
  const SampleStream same(other);
  other.seed = 1235;
  const SampleStream different(other);
  int equal = 0;
  for (std::int64_t n = 0; n < 200; ++n) {
    EXPECT_EQ(same.get(n), stream.get(n));
    equal += different.get(n) == stream.get(n);
  }
  EXPECT_LT(equal, 10);
}

TEST_F(SampleStreamTest, ABlendKeepsSharesAndEverySourcesEpochs) {
  const std::string a = write_dataset(folder_ / "a", {counted(41)});                // 10 samples
  const std::string b = write_dataset(folder_ / "b", {counted(4 * 30 + 1, 1000)});  // 30 samples
  SampleStreamOptions blend = options(a, 4, true);
  blend.sources = {{a, 1.0}, {b, 3.0}};
  const SampleStream stream(blend);
  EXPECT_EQ(stream.samples_per_epoch(), 40);
  std::map<std::int32_t, int> seen;
  for (std::int64_t n = 0; n < 40; ++n) ++seen[stream.get(n)[0]];
  EXPECT_EQ(seen.size(), 40u);  // ten of the one and thirty of the other: each an epoch, nothing twice
  int of_a = 0;
  for (std::int64_t n = 0; n < 4000; ++n) {
    of_a += stream.get(n)[0] < 1000;
    EXPECT_NEAR(of_a, static_cast<double>(n + 1) / 4, 1.0);
  }
}

TEST_F(SampleStreamTest, ASplitCutsDocumentsInOrder) {
  std::vector<Tokens> documents;
  for (std::int32_t d = 0; d < 10; ++d) documents.push_back(counted(d + 3, d * 100));
  const std::string prefix = write_dataset(folder_ / "d", documents);
  const std::array<double, 3> weights = {8, 1.4, 0.6};  // bounds at 8 and round(9.4) = 9
  const std::vector<std::pair<int, int>> parts = {{0, 8}, {8, 9}, {9, 10}};
  for (int part = 0; part < 3; ++part) {
    SampleStreamOptions split = options(prefix, 1, false);
    split.split = DatasetSplit{weights, part};
    const SampleStream stream(split);
    Tokens expected;
    for (int d = parts[static_cast<std::size_t>(part)].first;
         d < parts[static_cast<std::size_t>(part)].second; ++d)
      expected.insert(expected.end(), documents[static_cast<std::size_t>(d)].begin(),
                      documents[static_cast<std::size_t>(d)].end());
    ASSERT_EQ(stream.tokens(), std::ssize(expected));
    for (std::int64_t n = 0; n < stream.samples_per_epoch(); ++n) {
      const auto at = expected.begin() + n;
      EXPECT_EQ(stream.get(n), Tokens(at, at + 2));
    }
  }
}

TEST_F(SampleStreamTest, ATokenOutsideTheVocabularyIsNamed) {
  Tokens tokens = counted(17);
  tokens[11] = 70;
  const std::string prefix = write_dataset(folder_ / "d", {tokens});
  SampleStreamOptions narrow = options(prefix, 8, false);
  narrow.vocab_size = 70;
  const SampleStream stream(narrow);
  EXPECT_NO_THROW(stream.get(0));
  EXPECT_EQ(
      user_error_of([&] { stream.get(1); }),
      fmt::format("dataset {} has token 70 at position 11; the vocabulary has 70, ids 0 to 69", prefix));

  const std::string negative = write_dataset(folder_ / "n", {{0, -5, 0}}, TokenType::int32);
  EXPECT_NE(
      user_error_of([&] { SampleStream(options(negative, 2, false)).get(0); }).find("token -5 at position 1"),
      std::string::npos);
}

TEST_F(SampleStreamTest, WhatCannotGiveASampleIsRefused) {
  const std::string prefix = write_dataset(folder_ / "d", {counted(4), counted(4)});
  EXPECT_EQ(user_error_of([&] { SampleStream{options(prefix, 8, false)}; }),
            fmt::format("dataset {} has 8 tokens; one sample of seq_length 8 takes 9", prefix));
  SampleStreamOptions split = options(prefix, 3, false);
  split.split = DatasetSplit{{1.0, 0.0, 0.0}, 1};
  EXPECT_EQ(user_error_of([&] { SampleStream{split}; }),
            fmt::format(
                "dataset {}, validation part of data.split (documents 2 to 2 of 2), has 0 tokens; one sample "
                "of seq_length 3 takes 4",
                prefix));
  split.split->weights = {0, 0, 0};
  EXPECT_NE(user_error_of([&] { SampleStream{split}; }).find("add up to 0"), std::string::npos);
  split.split->weights = {2, -1, 0};
  EXPECT_NE(user_error_of([&] { SampleStream{split}; }).find("weight -1"), std::string::npos);
  SampleStreamOptions blend = options(prefix, 3, false);
  for (const double weight : {0.0, -1.0, 1.0 / 0.0}) {
    blend.sources[0].weight = weight;
    EXPECT_NE(user_error_of([&] { SampleStream{blend}; }).find("weights are above zero"), std::string::npos);
  }
  blend.sources.clear();
  EXPECT_NE(user_error_of([&] { SampleStream{blend}; }).find("no dataset"), std::string::npos);
}

}  // namespace
}  // namespace headwater
