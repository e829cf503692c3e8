// Every way of sharing out a run, and every pair of them together, gives the training of one rank: the losses
// of 20 steps, and the gradients of one, tensor by tensor. About 120 mixes; scripts/equivalence.sh takes the
// whole product and writes its table.

#include "headwater/generate/probe.h"
#include "tests/train/error_table.h"
#include "tests/train/mixes.h"
#include "tests/train/training_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>

namespace headwater {
namespace {

using test::Mix;

constexpr int kSteps = 20;
constexpr double kLoss = 1e-5, kGradient = 1e-5, kFloor = 1e-7;

// Eight layers, four heads on two KV heads (which four tensor ranks repeat), documents with all their
// borders.
std::vector<std::string> model_overrides(const Path& save) {
  std::vector<std::string> all = test::training_overrides(save, kSteps);
  for (const char* override :
       {"model.num_layers=8", "model.hidden_size=32", "model.ffn_hidden_size=64", "model.num_query_groups=2",
        "training.seq_length=24", "training.global_batch_size=8", "data.reset_attention_mask=true",
        "data.reset_lfa=true", "model.attention_dropout=0.1", "model.hidden_dropout=0.1"})
    all.emplace_back(override);
  return all;
}

struct MixRun {
  test::Curve curve;
  ProbeGradients gradients;
};

ProbeBatch probe_batch() {
  ProbeBatch batch;
  batch.samples = 8;
  batch.sequence = 24;
  for (std::int32_t i = 0; i < 8 * 24; ++i) {
    // a document ends at every shard's border
    batch.tokens.push_back(i % 7 == 5 || i % 12 == 11 ? 0 : (31 * i) % 191 + 1);
    batch.labels.push_back(i % 11 == 3 ? -1 : (17 * i + 5) % 192);
  }
  return batch;
}

// Trains, and then takes gradients with the weights of `weights`, or of its own last checkpoint.
MixRun run_mix(const Mix& mix, const Path& save, const Path& weights) {
  std::vector<std::string> all = model_overrides(save);
  for (const std::string& override : test::overrides(mix)) all.push_back(override);
  const LoadedConfig config = load_config({}, all);
  DocumentOptions documents{0, true, true, true, false};
  MixRun run;
  std::mutex mutex;
  run_on_threads(test::ranks(mix), [&](World& world) {
    EXPECT_EQ(Trainer(world, config, nullptr).run(), 0);
    const std::unique_ptr<WeightSource> source = open_weights(weights);
    ProbeGradients found = probe_gradients(world, config.run, *source, {"fp32", 1}, probe_batch(), documents);
    const std::lock_guard lock(mutex);
    run.gradients = std::move(found);
  });
  run.curve = test::read_curve(save / "metrics.jsonl");
  return run;
}

double norm_of(const std::vector<float>& values) {
  double squares = 0.0;
  for (const float value : values) squares += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(squares);
}

// The largest errors, as shares of what is allowed.
struct Errors {
  double loss = 0.0, gradient = 0.0;
  std::string tensor;
};

Errors compare(const MixRun& found, const MixRun& one) {
  Errors errors;
  if (found.curve.losses.size() != one.curve.losses.size()) return {1e9, 1e9, "of no step"};
  for (std::size_t i = 0; i < one.curve.losses.size(); ++i)
    errors.loss = std::max(errors.loss, std::abs(found.curve.losses[i] / one.curve.losses[i] - 1.0) / kLoss);
  errors.loss = std::max(errors.loss, std::abs(found.gradients.loss / one.gradients.loss - 1.0) / kLoss);
  double squares = 0.0;
  for (const auto& entry : one.gradients.gradients) squares += std::pow(norm_of(entry.second), 2);
  for (const auto& [name, expected] : one.gradients.gradients) {
    std::vector<float> difference = found.gradients.gradients.at(name);
    for (std::size_t i = 0; i < expected.size(); ++i) difference[i] -= expected[i];
    const double share = norm_of(difference) / (kGradient * norm_of(expected) + kFloor * std::sqrt(squares));
    if (share > errors.gradient) errors = {errors.loss, share, name};
  }
  return errors;
}

// A test of its own for each part of the mixes, so that several run at once: few mixes keep all cores busy.
constexpr std::size_t kParts = 8;

class Mixes : public testing::TestWithParam<std::size_t> {};

TEST_P(Mixes, TrainAsOneRankDoes) {
  // Of the whole product, all in the first part.
  const char* path = std::getenv("HEADWATER_EQUIVALENCE_TABLE");
  const std::vector<Mix> mixes = path != nullptr ? test::all_mixes() : test::covering_mixes(120);
  std::optional<test::ErrorTable> table;
  if (path != nullptr) table.emplace(path, mixes.size());

  const TemporaryFolder folder;
  std::map<bool, MixRun> one;  // with LFA, without
  std::map<bool, Path> weights;
  for (const bool lfa : {true, false}) {
    Mix mix{};
    mix[test::kLfa] = lfa ? 0 : 1;
    weights[lfa] = folder / (lfa ? "lfa" : "plain");
    one[lfa] = run_mix(mix, weights[lfa], weights[lfa]);
    ASSERT_EQ(one[lfa].curve.losses.size(), static_cast<std::size_t>(kSteps));
  }
  for (std::size_t i = GetParam(); i < mixes.size(); i += table ? 1 : kParts) {
    const Mix& mix = mixes[i];
    if (table && table->has(test::name(mix))) continue;
    const bool lfa = test::has_lfa(mix);
    const Path save = folder / fmt::format("mix {}", i);
    const MixRun run = run_mix(mix, save, weights[lfa]);
    std::filesystem::remove_all(save);
    const Errors errors = compare(run, one[lfa]);
    EXPECT_LE(errors.loss, 1.0) << test::name(mix);
    EXPECT_LE(errors.gradient, 1.0) << test::name(mix) << ": " << errors.tensor;
    if (table) table->add(test::name(mix), test::ranks(mix), errors.loss, errors.gradient);
  }
}

INSTANTIATE_TEST_SUITE_P(Equivalence, Mixes, testing::Range(std::size_t{0}, kParts));

TEST(Equivalence, TheSameMixTwiceIsTheSameBits) {
  const TemporaryFolder folder;
  const std::vector<Mix> mixes = test::covering_mixes(0);
  for (std::size_t i = 1; i < mixes.size(); i += 8) {
    const Path weights = folder / fmt::format("a {}", i);
    const MixRun a = run_mix(mixes[i], weights, weights),
                 b = run_mix(mixes[i], folder / fmt::format("b {}", i), weights);
    EXPECT_EQ(a.curve, b.curve) << test::name(mixes[i]);
    EXPECT_EQ(a.gradients.gradients, b.gradients.gradients) << test::name(mixes[i]);
  }
}

}  // namespace
}  // namespace headwater
