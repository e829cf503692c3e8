// Tensor ranks, tokens whole or cut, the filter by channels or by tokens, find the loss and the gradients of
// one rank: in double precision, so that nothing but the order of sums may differ, with documents that begin
// on the borders of token shards and beside them.

#include "headwater/comm/world.h"
#include "headwater/nn/model_units.h"

#include "tests/reference/reference_backend.h"
#include "tests/stage/whole_model.h"
#include "tests/support/models.h"

#include <gtest/gtest.h>

#include <cmath>
#include <mutex>
#include <numeric>
#include <ostream>

namespace headwater {
namespace {

constexpr BatchShape kShape{2, 9};
constexpr Precision kPrecision{DType::f64, DType::f64};

struct Case {
  const char* name;
  test::ModelOptions model;
  Sharding sharding;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

ModelSpec model_of(const Case& c) {
  ModelConfig model = test::small_model(c.model, kShape.sequence);
  model.ffn_hidden_size = 18;  // for 2, 3 and 6 ranks, as the 6 heads and the 6 channels are
  return expand(model);
}

// Documents begin at these tokens of the 18, beside the samples' own two.
Batch batch_of(std::initializer_list<std::int32_t> starts) {
  std::vector<std::int32_t> tokens, labels;
  for (std::int32_t i = 0; i < 18; ++i) tokens.push_back(1 + (7 * i) % 18);
  for (const std::int32_t start : starts) tokens[static_cast<std::size_t>(start) - 1] = 0;
  for (std::int32_t i = 0; i < 18; ++i) labels.push_back(i % 5 == 3 ? -1 : (5 * i + 3) % 19);
  DocumentOptions options;
  options.eod = 0;
  options.reset_position_ids = options.reset_attention_mask = options.reset_lfa = true;
  return make_batch(tokens, labels, kShape.samples, kShape.sequence, options);
}

struct Found {
  double loss = 0.0;
  std::map<std::string, std::vector<double>> gradients;  // whole, summed over the ranks as their specs say
};

// A rank's share of a gradient, into the whole. Copies must agree to the bit.
void join(const ParameterPlace& place, const std::vector<double>& mine, int rank, std::int64_t repeat,
          std::vector<double>& all) {
  const bool summed =
      place.spec.reduced_over.contains(Axis::tensor) || place.spec.reduced_over.contains(Axis::repeat);
  const bool first = place.spec.replicated_on.contains(Axis::tensor)   ? rank == 0
                     : place.spec.replicated_on.contains(Axis::repeat) ? rank % repeat == 0
                                                                       : true;
  for_shared_runs(place.slice(), whole(place.spec.shape),
                  [&](std::int64_t from, std::int64_t to, std::int64_t count) {
                    for (std::int64_t i = 0; i < count; ++i) {
                      double& value = all[static_cast<std::size_t>(to + i)];
                      const double share = mine[static_cast<std::size_t>(from + i)];
                      if (summed || first)
                        value += share;
                      else
                        EXPECT_EQ(value, share) << place.spec.name << " on rank " << rank;
                    }
                  });
}

Found find(const Case& c, const Sharding& sharding, const Batch& batch) {
  const ModelSpec model = model_of(c);
  Found found;
  std::vector<std::map<std::string, std::vector<double>>> shares(static_cast<std::size_t>(sharding.tensor));
  std::mutex mutex;
  std::vector<int> all(static_cast<std::size_t>(sharding.tensor));
  std::iota(all.begin(), all.end(), 0);
  run_on_threads(static_cast<int>(sharding.tensor), [&](World& world) {
    const auto group = world.group("tensor", all);
    test::WholeModel share(model, kShape, kPrecision, std::make_unique<ReferenceBackend>(), {},
                           Recompute::none, 0, TensorRanks(*group, sharding));
    share.set_batch(batch, 3);
    auto gradients = share.gradients();
    const double loss = share.loss();
    const std::lock_guard lock(mutex);
    EXPECT_TRUE(found.loss == 0.0 || found.loss == loss) << "rank " << world.rank() << " has another loss";
    found.loss = loss;
    shares[static_cast<std::size_t>(world.rank())] = std::move(gradients);
  });
  for (int rank = 0; rank < static_cast<int>(sharding.tensor); ++rank) {
    const ParameterLayout layout(model, {{0, model.units(), true, true}}, sharding, {.tensor_rank = rank});
    for (const ParameterPlace& place : layout.places()) {
      std::vector<double>& whole_gradient = found.gradients[place.spec.name];
      whole_gradient.resize(static_cast<std::size_t>(place.spec.elements()));
      join(place, shares[static_cast<std::size_t>(rank)].at(place.spec.name), rank,
           kv_repeat(model, sharding), whole_gradient);
    }
  }
  return found;
}

class TensorRanksOfAModel : public testing::TestWithParam<Case> {};

TEST_P(TensorRanksOfAModel, FindWhatOneRankFinds) {
  // Shards of 9, 6 and 3 tokens: documents that begin on every border of them, beside them, and elsewhere.
  for (const Batch& batch : {batch_of({}), batch_of({3, 6, 12, 15}), batch_of({5, 7, 8, 13}),
                             batch_of({2, 4, 10, 11, 14, 16, 17})}) {
    const Found one = find(GetParam(), {}, batch), several = find(GetParam(), GetParam().sharding, batch);
    EXPECT_NEAR(several.loss, one.loss, 1e-13 * one.loss);
    ASSERT_EQ(several.gradients.size(), one.gradients.size());
    double largest = 0.0;
    for (const auto& entry : one.gradients)
      for (const double value : entry.second) largest = std::max(largest, std::abs(value));
    for (const auto& [name, expected] : one.gradients) {
      const std::vector<double>& found = several.gradients.at(name);
      for (std::size_t i = 0; i < expected.size(); ++i)
        ASSERT_NEAR(found[i], expected[i], 1e-13 * largest) << name << " element " << i;
    }
  }
}

constexpr LfaSharding kChannels = LfaSharding::channels, kTokens = LfaSharding::tokens;

INSTANTIATE_TEST_SUITE_P(
    Cases, TensorRanksOfAModel,
    testing::Values(
        Case{"two", {}, {2}}, Case{"three_dropout", {.dropout = 0.2}, {3}},
        Case{"six_repeat_kv_heads", {.grouped = true}, {6}},
        Case{"two_without_lfa_untied", {.lfa = false, .tied = false, .dropout = 0.1}, {2}},
        Case{"two_gelu", {.mlp = "gelu"}, {2, true, kChannels}},
        Case{"two_cut", {.dropout = 0.2}, {2, true, kChannels}}, Case{"three_cut", {}, {3, true, kChannels}},
        Case{"six_cut_repeat_kv_heads", {.grouped = true, .dropout = 0.1}, {6, true, kChannels}},
        Case{"two_layer_norm", {.norm = "layernorm"}, {2}},
        Case{"three_cut_layer_norm", {.norm = "layernorm"}, {3, true, kChannels}},
        Case{"two_by_tokens_layer_norm", {.dropout = 0.1, .norm = "layernorm"}, {2, true, kTokens}},
        Case{"three_cut_without_lfa", {.lfa = false, .dropout = 0.1}, {3, true, kChannels}},
        Case{"two_by_tokens", {}, {2, true, kTokens}},
        Case{"three_by_tokens_dropout", {.dropout = 0.2}, {3, true, kTokens}},
        Case{"six_by_tokens_repeat_kv_heads", {.tied = false, .grouped = true}, {6, true, kTokens}}),
    [](const testing::TestParamInfo<Case>& c) { return c.param.name; });

}  // namespace
}  // namespace headwater
