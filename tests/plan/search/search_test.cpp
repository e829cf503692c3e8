// The search for layouts held against every layout there is, by the simulator.

#include "headwater/plan/search/search.h"

#include "headwater/base/error.h"
#include "headwater/config/load_config.h"
#include "headwater/plan/search/search_report.h"
#include "headwater/run/layout_request.h"
#include "src/plan/search/layer_search.h"
#include "tests/plan/search/small_search.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <algorithm>

namespace headwater {
namespace {

struct Problem {
  const char* name;
  int layers, stages, ranks, micro_batches;
  const char* schedule;
  int chunks;
  double fitting;        // share of all layouts that fit; 1: memory is without limit
  double between_nodes;  // bytes per second
};

void PrintTo(const Problem& problem, std::ostream* out) { *out << problem.name; }

PlanRequest request_of(const Problem& problem) {
  PlanRequest request;
  request.layout.model = expand(test::small_model({.layers = problem.layers}, 64));
  request.layout.parallel.pipeline_model_parallel_size = problem.stages / problem.chunks;
  request.layout.parallel.num_chunks = problem.chunks;
  request.layout.parallel.pipeline_schedule = problem.schedule;
  request.layout.parallel.use_distributed_optimizer = problem.ranks > problem.stages / problem.chunks;
  request.layout.batch = {1, 64};
  request.layout.micro_batches = problem.micro_batches;
  request.layout.precision = {DType::bf16, DType::f32};
  request.cluster = test::nodes_of_four(0, problem.between_nodes);
  request.ranks = problem.ranks;
  return request;
}

struct Played {
  double seconds = 0.0;
  std::int64_t bytes = 0;  // of the rank that needs most
};

// Every list of layer counts, with every recomputation of each stage.
class EveryLayout {
 public:
  EveryLayout(PlanRequest request, const Problem& problem)
      : request_(std::move(request)),
        stages_(problem.stages),
        recompute_(problem.fitting < 1.0),
        costs_(unit_costs(request_, process_grid(request_.layout, request_.ranks))) {
    place(problem.layers);
  }
  std::vector<Played> played;

 private:
  void place(int left) {
    const int stage = static_cast<int>(counts_.size());
    if (stage == stages_) {
      if (left == 0) recompute();
      return;
    }
    for (int n = stage == 0 || stage + 1 == stages_ ? 0 : 1; n <= left; ++n) {
      counts_.push_back(n);
      place(left - n);
      counts_.pop_back();
    }
  }

  void recompute() {
    if (ways_.size() == counts_.size()) return play();
    const std::int64_t layers = counts_[ways_.size()];
    std::vector<RecomputeLayout::Entry> all = {"none"};
    if (recompute_ && layers > 0) all.emplace_back("selective");
    for (std::int64_t n = 1; recompute_ && n <= layers; ++n) all.emplace_back(n);
    for (const auto& way : all) {
      ways_.push_back(way);
      recompute();
      ways_.pop_back();
    }
  }

  void play() {
    request_.layout.parallel.pipeline_layout = {false, counts_};
    request_.layout.parallel.recompute = {"none", ways_};
    if (!schedules_) schedules_ = std::make_shared<const RunSchedules>(request_.layout, request_.ranks);
    const Plan plan = predict(request_, schedules_, costs_);
    played.push_back({plan.time.seconds, test::most_bytes(plan)});
  }

  PlanRequest request_;
  const int stages_;
  const bool recompute_;
  const CostModel costs_;
  std::shared_ptr<const RunSchedules> schedules_;
  std::vector<std::int64_t> counts_;
  std::vector<RecomputeLayout::Entry> ways_;
};

class LayerSearchOn : public testing::TestWithParam<Problem> {};

TEST_P(LayerSearchOn, IsWithinOnePercentOfEveryLayout) {
  const Problem& problem = GetParam();
  PlanRequest request = request_of(problem);
  std::vector<Played> played = EveryLayout(request, problem).played;
  std::sort(played.begin(), played.end(),
            [](const Played& a, const Played& b) { return a.seconds < b.seconds; });
  std::vector<Played> best = played;
  if (problem.fitting < 1.0) {
    std::vector<std::int64_t> bytes;
    for (const Played& one : played) bytes.push_back(one.bytes);
    std::sort(bytes.begin(), bytes.end());
    request.cluster.device.memory_bytes =
        bytes[static_cast<std::size_t>(problem.fitting * static_cast<double>(bytes.size()))];
    std::erase_if(best, [&](const Played& one) { return one.bytes > request.cluster.device.memory_bytes; });
    ASSERT_GT(best.front().seconds, played.front().seconds) << "the limit does not bind";
  }
  const auto found = search_layers(request);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->fits());
  EXPECT_LE(found->time.seconds, 1.01 * best.front().seconds)
      << played.size() << " layouts, " << best.size() << " fit";
  EXPECT_GE(found->time.seconds, best.front().seconds * (1.0 - 1e-9));
  RecordProperty("layouts", static_cast<int>(played.size()));
  RecordProperty("found_to_best", std::to_string(found->time.seconds / best.front().seconds));
}

INSTANTIATE_TEST_SUITE_P(
    SmallProblems, LayerSearchOn,
    testing::Values(Problem{"1F1B", 9, 4, 4, 8, "1f1b", 1, 1.0, 1e9},                                 //
                    Problem{"1F1B, slow links", 9, 4, 8, 8, "1f1b", 1, 1.0, 3e5},                     //
                    Problem{"1F1B, very slow links", 8, 4, 8, 6, "1f1b", 1, 1.0, 3e4},                //
                    Problem{"1F1B, little memory", 6, 3, 3, 8, "1f1b", 1, 0.05, 1e9},                 //
                    Problem{"1F1B, little memory and slow links", 5, 4, 8, 8, "1f1b", 1, 0.05, 3e5},  //
                    Problem{"ZB-H1", 9, 4, 4, 8, "zb-h1", 1, 1.0, 1e9},                               //
                    Problem{"ZB-H1, little memory", 6, 3, 3, 6, "zb-h1", 1, 0.02, 1e9},               //
                    Problem{"interleaved", 8, 4, 2, 6, "interleaved", 2, 1.0, 1e9},                   //
                    Problem{"interleaved, slow links", 7, 4, 2, 6, "interleaved", 2, 1.0, 3e5},       //
                    Problem{"ZB-V", 8, 4, 2, 6, "zb-v", 2, 1.0, 1e9},                                 //
                    Problem{"ZB-V, little memory", 5, 4, 2, 6, "zb-v", 2, 0.05, 1e9},                 //
                    Problem{"GPipe", 8, 4, 4, 5, "gpipe", 1, 1.0, 3e5}));

TEST(LayerSearch, KeepsTheRecomputationAskedFor) {
  PlanRequest request = request_of({"", 6, 3, 3, 8, "1f1b", 1, 1.0, 1e9});
  request.layout.parallel.recompute = {"none", {std::int64_t{2}, "selective", "none"}};
  const auto found = search_layers(request, {.keep_recompute = true});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->request.layout.parallel.recompute, request.layout.parallel.recompute);
  EXPECT_GE(found->stages[0].units.layers(), 2);
}

TEST(Search, KeepsWhatItIsToldTo) {
  SearchRequest request = test::small_search(0, 1e9);
  request.run.parallel.pipeline_model_parallel_size = 4;
  request.run.parallel.pipeline_schedule = "zb-h1";
  request.run.training.micro_batch_size = 2;
  request.keep = {"parallel.pipeline_model_parallel_size", "parallel.pipeline_schedule",
                  "training.micro_batch_size"};
  for (const Plan& plan : search(request).plans) {
    EXPECT_EQ(plan.request.layout.parallel.pipeline_model_parallel_size, 4);
    EXPECT_EQ(plan.request.layout.parallel.pipeline_schedule, "zb-h1");
    EXPECT_EQ(plan.request.layout.batch.samples, 2);
  }
}

TEST(Search, PrintsWhatAConfigTakes) {
  const SearchResult result = search(test::small_search(0, 1e6));
  const nlohmann::json json = to_json(result);
  EXPECT_EQ(json.at("step_seconds").get<double>(), result.best().time.seconds);
  ASSERT_FALSE(json.at("alternatives").empty());
  EXPECT_GE(json["alternatives"][0].at("slower").get<double>(), 0.0);
  nlohmann::json file = json.at("config");
  file["training"]["seq_length"] = 64;
  file["training"]["global_batch_size"] = 16;
  RunConfig run = parse_config(file, "chosen", {}).run;
  run.model = test::small_model({.layers = 6}, 64);
  PlanRequest again = result.best().request;
  again.layout = training_request(run, {"bf16", 1}, 8);
  EXPECT_EQ(predict(again).time.seconds, result.best().time.seconds);
  EXPECT_NE(report(result).find("for the config:"), std::string::npos);
}

TEST(Search, SaysWhatIsShortWhereNothingFits) {
  try {
    static_cast<void>(search(test::small_search(100'000, 1e9)));
    FAIL() << "it fits";
  } catch (const UserError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("fits on 8 ranks of two nodes in no way"), std::string::npos) << text;
    EXPECT_NE(text.find(" short ("), std::string::npos) << text;
  }
}

TEST(Search, NeedsToKnowTheBatch) {
  SearchRequest request = test::small_search(0, 1e9);
  request.run.training.global_batch_size = 0;
  EXPECT_THROW(static_cast<void>(search(request)), UserError);
}

}  // namespace
}  // namespace headwater
