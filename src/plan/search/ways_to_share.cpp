#include "headwater/plan/search/ways_to_share.h"

#include "headwater/base/error.h"
#include "headwater/config/load_config.h"
#include "headwater/run/freeze.h"
#include "headwater/run/layout_request.h"
#include "headwater/run/sharding_of.h"
#include "headwater/schedule/schedule_table.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace headwater {
namespace {

constexpr std::int64_t kMostSamples = 64;  // in a micro-batch
constexpr std::int64_t kMostChunks = 4;

std::vector<std::int64_t> divisors(std::int64_t number) {
  std::vector<std::int64_t> list;
  for (std::int64_t d = 1; d <= number; ++d)
    if (number % d == 0) list.push_back(d);
  return list;
}

struct ScheduleChoice {
  std::string name;
  std::int64_t chunks;
};

class Ways {
 public:
  explicit Ways(const SearchRequest& request) : request_(request) {}

  std::vector<PlanRequest> list() {
    if (request_.run.training.global_batch_size == 0)
      throw UserError(
          "training.global_batch_size is 0 (one micro-batch for each replica), so that steps of different "
          "layouts would differ; a search needs the number of samples of a step");
    // What is refused here would fail in every way.
    const ModelSpec model = model_to_train(request_.run.model, request_.run.training.freeze);
    const auto tensor_sizes =
        kept("parallel.tensor_model_parallel_size", request_.run.parallel.tensor_model_parallel_size,
             divisors(request_.ranks));
    for (const std::int64_t tensor : tensor_sizes) {
      if (request_.ranks % tensor != 0 || !can_share(model, tensor)) continue;
      const auto pipelines =
          kept("parallel.pipeline_model_parallel_size", request_.run.parallel.pipeline_model_parallel_size,
               divisors(request_.ranks / tensor));
      for (const std::int64_t pipeline : pipelines) {
        if (request_.ranks / tensor % pipeline != 0) continue;
        RunConfig run = request_.run;
        run.parallel.tensor_model_parallel_size = tensor;
        run.parallel.pipeline_model_parallel_size = pipeline;
        run.parallel.pipeline_layout = {};
        add_schedules(run, request_.ranks / tensor / pipeline);
      }
    }
    return std::move(list_);
  }

 private:
  std::vector<std::int64_t> kept(const char* key, std::int64_t value, std::vector<std::int64_t> all) const {
    return request_.keeps(key) ? std::vector<std::int64_t>{value} : all;
  }

  std::vector<ScheduleChoice> schedules(std::int64_t pipeline) const {
    const ParallelConfig& asked = request_.run.parallel;
    const bool name_kept = request_.keeps("parallel.pipeline_schedule"),
               chunks_kept = request_.keeps("parallel.num_chunks");
    std::vector<ScheduleChoice> list;
    for (const ScheduleKind& kind : schedule_kinds()) {
      const std::string name(kind.name);
      if (name_kept ? name != asked.pipeline_schedule : pipeline == 1 && name != "1f1b") continue;
      std::int64_t least = kind.default_chunks, most = kind.takes_any_chunks() ? kMostChunks : least;
      if (chunks_kept && asked.num_chunks > 0) {
        if (kind.takes_any_chunks())
          least = most = asked.num_chunks;
        else if (asked.num_chunks != least)
          continue;
      }
      for (std::int64_t chunks = least; chunks <= most; ++chunks) list.push_back({name, chunks});
    }
    return list;
  }

  void add_schedules(RunConfig run, std::int64_t data) {
    const std::int64_t stages_at_most = run.model.num_layers + 2;
    if (!request_.keeps("parallel.use_distributed_optimizer"))
      run.parallel.use_distributed_optimizer = data > 1;
    for (const ScheduleChoice& schedule : schedules(run.parallel.pipeline_model_parallel_size)) {
      const std::int64_t stages = run.parallel.pipeline_model_parallel_size * schedule.chunks;
      const auto& recompute = run.parallel.recompute.stages;
      const bool recompute_fits = recompute.empty() || static_cast<std::int64_t>(recompute.size()) == stages;
      if (stages > stages_at_most || (request_.keeps("parallel.recompute") && !recompute_fits)) continue;
      run.parallel.pipeline_schedule = schedule.name;
      run.parallel.num_chunks = schedule.chunks;
      add_batches(run, data);
    }
  }

  void add_batches(RunConfig run, std::int64_t data) {
    const std::int64_t batch = run.training.global_batch_size;
    if (batch % data != 0) return;
    std::vector<std::int64_t> sizes;
    for (std::int64_t samples = 1; samples <= std::min(batch / data, kMostSamples); ++samples)
      if (batch / data % samples == 0) sizes.push_back(samples);
    for (const std::int64_t samples :
         kept("training.micro_batch_size", run.training.micro_batch_size, sizes)) {
      if (batch / data % samples != 0) continue;
      run.training.micro_batch_size = samples;
      add_tokens(run);
    }
  }

  void add_tokens(RunConfig run) {
    std::vector<bool> cut = {false};
    if (run.parallel.tensor_model_parallel_size > 1) cut = {false, true};
    if (request_.keeps("parallel.sequence_parallel")) cut = {run.parallel.sequence_parallel};
    for (const bool sequence_parallel : cut) {
      run.parallel.sequence_parallel = sequence_parallel;
      try {
        PlanRequest way;
        way.layout = training_request(run, settings_on(request_.cluster, request_.dtype, request_.threads),
                                      request_.ranks);
        way.dtype = request_.dtype;
        way.cluster = request_.cluster;
        way.ranks = request_.ranks;
        static_cast<void>(process_grid(way.layout, way.ranks));
        list_.push_back(std::move(way));
      } catch (const UserError&) {
        // The model cannot be cut in this way, so it is left out.
      }
    }
  }

  const SearchRequest& request_;
  std::vector<PlanRequest> list_;
};

// Returns the load of the busiest rank, in seconds of a micro-batch, when layers of these seconds, in their
// order, and a head of `head` seconds on the last rank are shared out to `ranks` ranks as equally as whole
// layers allow.
double least_load(const std::vector<double>& layers, double head, std::int64_t ranks) {
  double load = (std::accumulate(layers.begin(), layers.end(), 0.0) + head) / static_cast<double>(ranks);
  load = std::max(load, head);
  for (;;) {
    // Each rank takes as many layers as `load` allows. `more` is the least load that lets one take another.
    const double limit = load * (1.0 + 1e-12);
    double more = std::numeric_limits<double>::infinity();
    std::size_t next = 0;
    for (std::int64_t rank = 0; rank < ranks; ++rank) {
      double held = rank + 1 == ranks ? head : 0.0;
      while (next < layers.size() && held + layers[next] <= limit) held += layers[next++];
      if (next < layers.size()) more = std::min(more, held + layers[next]);
    }
    if (next == layers.size()) return load;
    load = more;
  }
}

// Returns what a step of the schedule takes longer than its arithmetic, were the model, whose passes take
// `pass` seconds, shared out equally over the pipeline ranks.
double bubble(const ParallelConfig& parallel, const PassSeconds& pass) {
  const auto ranks = static_cast<double>(parallel.pipeline_model_parallel_size);
  return schedule_kind(parallel.pipeline_schedule)
      .bubble({.ranks = static_cast<int>(parallel.pipeline_model_parallel_size),
               .chunks = static_cast<int>(parallel.num_chunks),
               .forward = pass.forward.total() / ranks,
               .input_gradient = pass.input_gradient.total() / ranks,
               .weight_gradient = pass.weight_gradient.total() / ranks});
}

}  // namespace

std::vector<PlanRequest> ways_to_share(const SearchRequest& request) { return Ways(request).list(); }

double ideal_step(const PlanRequest& request) {
  const RankLayoutRequest& run = request.layout;
  const CostModel costs = unit_costs(request, process_grid(run, request.ranks));
  PassSeconds all;
  std::vector<double> layers;
  for (int u = 0; u < run.model.units(); ++u) {
    const PassSeconds unit = costs.unit(u, Recompute::none);
    all += unit;
    if (run.model.is_layer(u)) layers.push_back(unit.total());
  }
  const std::int64_t ranks = run.parallel.pipeline_model_parallel_size;
  const double head = costs.unit(run.model.head_unit(), Recompute::none).total();
  const double load = ranks == 1 ? all.total() : least_load(layers, head, ranks);
  return run.micro_batches * load + bubble(run.parallel, all);
}

}  // namespace headwater
