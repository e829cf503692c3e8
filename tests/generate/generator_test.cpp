// Generation with caches against the whole forward: the same logits however the tokens come in.

#include "headwater/generate/generator.h"

#include "headwater/base/error.h"
#include "headwater/comm/world.h"
#include "headwater/generate/probe.h"
#include "tests/support/random_weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <ostream>

namespace headwater {
namespace {

// Documents of one token and of several; the last one goes on.
const std::vector<std::int32_t> kTokens = {4, 9, 0, 0, 17, 3, 3, 0, 5, 8, 12, 18, 0, 7, 1, 2};
constexpr std::int64_t kVocabulary = 19;
const RunSettings kSingle{"fp32", 1};

struct Case {
  const char* name;
  test::ModelOptions model;
  DocumentOptions documents;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class Generation : public testing::TestWithParam<Case> {
 protected:
  // Of the token after each position, from one forward of all tokens.
  std::vector<float> whole(const RunSettings& settings = kSingle) const {
    const std::unique_ptr<World> world = make_self_world();
    const auto length = static_cast<std::int64_t>(kTokens.size());
    std::vector<float> logits =
        probe_logits(*world, {}, weights_, settings, {1, length, kTokens, {}}, GetParam().documents);
    EXPECT_EQ(logits.size(), kTokens.size() * kVocabulary);
    return logits;
  }

  // Feeds `pieces` tokens after one another; each time the logits must be those of the whole.
  void expect_same(const std::vector<std::size_t>& pieces, const std::vector<float>& all,
                   const RunSettings& settings = kSingle, double relative = 1e-5) const {
    Generator generator(weights_, settings, static_cast<std::int64_t>(kTokens.size()), GetParam().documents);
    double largest = 0.0;
    for (const float logit : all) largest = std::max(largest, std::abs(static_cast<double>(logit)));
    std::size_t end = 0;
    for (const std::size_t piece : pieces) {
      const std::vector<float> logits = generator.feed(std::span(kTokens).subspan(end, piece));
      end += piece;
      ASSERT_EQ(logits.size(), static_cast<std::size_t>(kVocabulary));
      for (std::size_t v = 0; v < logits.size(); ++v)
        EXPECT_NEAR(logits[v], all[(end - 1) * kVocabulary + v], relative * largest)
            << "after " << end << " tokens";
    }
    EXPECT_EQ(end, kTokens.size());
  }

  test::RandomWeights weights_{GetParam().model, static_cast<std::int64_t>(kTokens.size())};
};

TEST_P(Generation, AtOnce) { expect_same({kTokens.size()}, whole()); }

TEST_P(Generation, TokenByToken) { expect_same(std::vector<std::size_t>(kTokens.size(), 1), whole()); }

TEST_P(Generation, InPieces) {
  const std::vector<float> all = whole();
  expect_same({2, 1, 5, 1, 1, 3, 3}, all);
  expect_same({1, 15}, all);
  expect_same({13, 3}, all);  // a document's end is the last of a piece
}

// Both ways round the same tensors, about 30 from token to logit, by 2^−8/√3 each on average: √30 · 2^−8/√3
// = 1.2 % apart if none of the roundings were the same, and most are.
TEST_P(Generation, InBf16) {
  const RunSettings bf16{"bf16", 1};
  expect_same({5, 1, 1, 1, 8}, whole(bf16), bf16, 0.02);
}

constexpr DocumentOptions kNone{}, kPositions{0, true, false, false, false},
    kAttention{0, true, true, false, false}, kDocuments{0, true, true, true, false};

INSTANTIATE_TEST_SUITE_P(
    Cases, Generation,
    testing::Values(Case{"none", {}, kNone}, Case{"positions", {}, kPositions},
                    Case{"attention", {.grouped = true}, kAttention},
                    Case{"documents", {.tied = false}, kDocuments},
                    Case{"without_lfa", {.lfa = false}, kNone},
                    Case{"without_lfa_documents", {.lfa = false, .grouped = true}, kDocuments}),
    [](const testing::TestParamInfo<Case>& c) { return c.param.name; });

TEST(Generator, RefusesATokenOutsideTheVocabulary) {
  Generator generator(test::RandomWeights({}, 8), kSingle, 8, {});
  for (const std::int32_t token : {-1, 19, 24})
    EXPECT_THROW(generator.feed(std::vector<std::int32_t>{3, token}), UserError);
}

TEST(SampleToken, AtTemperatureZeroIsTheLargest) {
  EXPECT_EQ(sample_token(std::vector<float>{1.0F, 4.0F, -2.0F, 3.9F}, {}, 0), 1);
}

// Shares of many draws against the softmax.
TEST(SampleToken, FollowsTheSoftmaxOfWhatIsLeft) {
  const std::vector<float> logits = {0.5F, 2.0F, -1.0F, 1.0F};
  constexpr int kDraws = 20'000;
  const auto shares = [&](const Sampling& sampling) {
    std::vector<double> counts(logits.size());
    for (int draw = 0; draw < kDraws; ++draw)
      counts[static_cast<std::size_t>(sample_token(logits, sampling, draw))] += 1.0;
    for (double& count : counts) count /= kDraws;
    return counts;
  };
  // `left` are the tokens that may come.
  const auto check = [&](const Sampling& sampling, const std::vector<std::size_t>& left) {
    double sum = 0.0;
    for (const std::size_t token : left)
      sum += std::exp(static_cast<double>(logits[token]) / sampling.temperature);
    const std::vector<double> found = shares(sampling);
    for (std::size_t token = 0; token < logits.size(); ++token) {
      const bool may = std::find(left.begin(), left.end(), token) != left.end();
      const double expected =
          may ? std::exp(static_cast<double>(logits[token]) / sampling.temperature) / sum : 0.0;
      // Five standard deviations.
      EXPECT_NEAR(found[token], expected, 5.0 * std::sqrt(expected * (1.0 - expected) / kDraws))
          << "token " << token;
    }
  };
  check({.temperature = 1.0}, {0, 1, 2, 3});
  check({.temperature = 0.5, .seed = 9}, {0, 1, 2, 3});
  check({.temperature = 1.0, .top_k = 2}, {1, 3});
  check({.temperature = 2.0, .top_k = 1}, {1});
  check({.temperature = 1.0, .top_p = 0.8}, {1, 3});  // 0.61 + 0.22
  check({.temperature = 1.0, .top_p = 0.5}, {1});     // at least one
  check({.temperature = 1.0, .top_k = 3, .top_p = 0.95}, {0, 1, 3});
}

TEST(SampleToken, IsAFunctionOfSeedAndNumber) {
  const std::vector<float> logits(50, 0.0F);
  const auto draw = [&](std::uint64_t seed) {
    std::vector<std::int32_t> tokens;
    for (std::int64_t number = 0; number < 20; ++number)
      tokens.push_back(sample_token(logits, {.temperature = 1.0, .seed = seed}, number));
    return tokens;
  };
  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
}

}  // namespace
}  // namespace headwater
