#include "headwater/plan/search/search.h"

#include "headwater/base/error.h"
#include "headwater/layout/parameter_bytes.h"
#include "headwater/nn/model_units.h"

#include "closest_to_fitting.h"
#include "layer_search.h"
#include "search_reasons.h"
#include "simulate/shortage.h"

#include <algorithm>
#include <optional>

namespace headwater {
namespace {

// How far the quicker measure of a way may be off. A way is left out where its ideal step is kIdealMargin
// times the best estimate or more, or its estimate kEstimateMargin times the best simulated step.
constexpr double kIdealMargin = 1.02, kEstimateMargin = 1.05;
constexpr std::size_t kRunnersUp = 5, kMostEstimated = 1500, kMostSimulated = 16;
// The search ends once the schedules that it lowered have this many actions, if it has found some plans.
constexpr std::int64_t kActions = 150'000;
constexpr std::size_t kFewRunnersUp = 2;

struct Way {
  PlanRequest request;
  double seconds = 0.0;
};

void sort(std::vector<Way>& ways) {
  std::stable_sort(ways.begin(), ways.end(),
                   [](const Way& a, const Way& b) { return a.seconds < b.seconds; });
}

std::int64_t actions(const PlanRequest& request) {
  const ParallelConfig& parallel = request.layout.parallel;
  return 2 * parallel.pipeline_model_parallel_size * parallel.num_chunks * request.layout.micro_batches;
}

// Whether weights, gradients and optimizer fit into a device's memory when they are shared out equally. A
// quick test that leaves out what can never fit.
bool states_fit(const PlanRequest& request, std::int64_t parameters, std::int64_t trained) {
  const RankLayoutRequest& run = request.layout;
  const double limit = static_cast<double>(request.cluster.device.memory_bytes);
  if (limit == 0.0) return true;
  const auto model_ranks = static_cast<double>(run.parallel.tensor_model_parallel_size *
                                               run.parallel.pipeline_model_parallel_size);
  const double shards = run.parallel.use_distributed_optimizer ? request.ranks / model_ranks : 1.0;
  const ParameterBytes each(run.precision, run.training);
  const double bytes = static_cast<double>(each.of(parameters, trained, 0)) +
                       static_cast<double>(each.of(0, 0, trained)) / shards;
  return bytes / model_ranks <= limit;
}

class Search {
 public:
  explicit Search(const SearchRequest& request)
      : request_(request), options_{request.keeps("parallel.recompute")} {}

  SearchResult run() {
    std::vector<PlanRequest> all = ways_to_share(request_);
    result_.ways = all.size();
    if (all.empty())
      throw UserError(
          "{} ranks cannot share this run out: no product of tensor ranks, pipeline ranks and replicas goes "
          "with model.num_attention_heads {}, model.num_layers {} and training.global_batch_size {}",
          request_.ranks, request_.run.model.num_attention_heads, request_.run.model.num_layers,
          request_.run.training.global_batch_size);
    simulate(estimate(all));
    if (result_.plans.empty()) refuse(all);
    try_whole_optimizer();
    std::stable_sort(result_.plans.begin(), result_.plans.end(),
                     [](const Plan& a, const Plan& b) { return a.time.seconds < b.time.seconds; });
    if (result_.plans.size() > kRunnersUp + 1)
      result_.plans.erase(result_.plans.begin() + kRunnersUp + 1, result_.plans.end());
    result_.reasons = search_reasons(result_.best(), options_.keep_recompute);
    return std::move(result_);
  }

 private:
  // Returns the estimated ways that fit, the fastest first.
  std::vector<Way> estimate(const std::vector<PlanRequest>& all) {
    std::vector<Way> ways;
    const ModelSpec& model = all.front().layout.model;
    const std::int64_t parameters = parameter_count(model), trained = trained_parameter_count(model);
    for (const PlanRequest& request : all)
      if (states_fit(request, parameters, trained)) ways.push_back({request, ideal_step(request)});
    sort(ways);
    std::vector<Way> estimated;
    std::optional<double> best;
    for (const Way& way : ways) {
      const bool enough = estimated.size() > kRunnersUp && way.seconds > kIdealMargin * *best;
      if (enough || (best && result_.estimated >= kMostEstimated)) break;
      const auto seconds = estimate_step(way.request, options_);
      ++result_.estimated;
      if (!seconds) continue;
      estimated.push_back({way.request, *seconds});
      best = std::min(best.value_or(*seconds), *seconds);
    }
    sort(estimated);
    return estimated;
  }

  void simulate(const std::vector<Way>& ways) {
    std::optional<double> best;
    std::int64_t spent = 0;
    for (const Way& way : ways) {
      const bool hopeless = best && way.seconds > kEstimateMargin * *best;
      if (result_.plans.size() > kRunnersUp && (hopeless || result_.simulated >= kMostSimulated)) break;
      if (result_.plans.size() > kFewRunnersUp && spent > kActions) break;
      auto plan = search_layers(way.request, options_);
      ++result_.simulated;
      spent += actions(way.request);
      if (!plan) continue;
      best = std::min(best.value_or(plan->time.seconds), plan->time.seconds);
      result_.plans.push_back(std::move(*plan));
    }
  }

  // Every way shards its optimizer. The best one is tried without, in case the cost model says that sharding
  // costs more than it saves.
  void try_whole_optimizer() {
    const auto best =
        std::min_element(result_.plans.begin(), result_.plans.end(),
                         [](const Plan& a, const Plan& b) { return a.time.seconds < b.time.seconds; });
    PlanRequest whole = best->request;
    if (!whole.layout.parallel.use_distributed_optimizer ||
        request_.keeps("parallel.use_distributed_optimizer"))
      return;
    whole.layout.parallel.use_distributed_optimizer = false;
    auto plan = search_layers(whole, options_);
    ++result_.simulated;
    if (plan && plan->time.seconds < best->time.seconds) result_.plans.push_back(std::move(*plan));
  }

  [[noreturn]] void refuse(const std::vector<PlanRequest>& all) const {
    const Plan closest = closest_to_fitting(all);
    const ParallelConfig& parallel = closest.request.layout.parallel;
    const std::vector<Shortage> missing = shortages(closest);
    throw UserError(
        "this model fits on {} ranks of {} in no way; the closest, {} tensor x {} data x {} pipeline with "
        "full recomputation: "
        "{}; more ranks, or a smaller model or training.seq_length would help",
        request_.ranks, request_.cluster.name, parallel.tensor_model_parallel_size,
        closest.data_parallel_size, parallel.pipeline_model_parallel_size,
        missing.empty() ? "a little" : missing.front().text);
  }

  const SearchRequest& request_;
  const LayerSearchOptions options_;
  SearchResult result_;
};

}  // namespace

SearchResult search(const SearchRequest& request) { return Search(request).run(); }

}  // namespace headwater
