#include "headwater/train/bench_step.h"

#include "headwater/backend/cpu_backend.h"
#include "headwater/backend/timed_backend.h"
#include "headwater/base/clock.h"
#include "headwater/config/load_config.h"
#include "headwater/model/flops.h"
#include "headwater/nn/initialize.h"
#include "headwater/train/training_step.h"
#include "headwater/train/engine.h"
#include "headwater/train/evaluate.h"
#include "headwater/train/run_setup.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>

namespace headwater {
namespace {

constexpr int kWarmUpSteps = 2;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double reduced(Communicator& group, double value, ReduceOp op) {
  group.all_reduce(TensorView(&value, DType::f64, {1}), op).wait();
  return value;
}

// A run without data or files: the trainer's step on random tokens.
class RandomTraining {
 public:
  RandomTraining(World& world, const RunConfig& run, const Choices& choices)
      : world_(world), run_(run), global_batch_(global_batch_size(run, world.size())) {
    run_.model = resolved(run.model, run.training.seq_length);
    auto timed = std::make_unique<TimedBackend>(make_cpu_backend({choices.threads}));
    backend_ = timed.get();
    const RankLayout layout(training_request(run_, choices, world.size()), world.rank(), world.size());
    engine_ = std::make_unique<Engine>(world, layout, std::move(timed));
    optimizer_ = std::make_unique<Optimizer>(make_optimizer(run_.optimizer, *engine_));
    initialize(engine_->store(), *backend_, static_cast<std::uint64_t>(run.training.seed), choices.threads);
  }

  Engine& engine() { return *engine_; }
  TimedBackend& backend() { return *backend_; }
  Communicator& ranks() { return engine_->world_group(); }
  double waited_seconds() const { return waited_; }  // of the last step
  std::int64_t tokens_per_step() const { return global_batch_ * run_.training.seq_length; }

  // Seconds of one step on this rank, from where all ranks are ready.
  double step() {
    barrier(ranks());
    const double waited_before = world_.waited_seconds();
    const Stopwatch watch;
    const RandomKey dropout = derive(key("dropout"), static_cast<std::uint64_t>(steps_));
    auto [scalars, times] = training_step(*engine_, *optimizer_, run_.optimizer.lr, static_cast<double>(tokens_per_step()),
                                          [&](int m) { return batch(m); }, dropout);
    const double seconds = watch.seconds();
    if (at(scalars, StepScalar::apply) == 0.0)
      throw UserError("loss or gradient norm was not finite in step {}: there is nothing to measure", steps_ + 1);
    ++steps_;
    waited_ = world_.waited_seconds() - waited_before;
    return seconds;
  }

 private:
  RandomKey key(std::string_view name) const {
    return derive(RandomKey{static_cast<std::uint64_t>(run_.training.seed)}, name);
  }

  Batch batch(int micro_batch) const {
    const BatchShape shape = engine_->layout().request.batch;
    const std::int64_t first = first_sample_of(engine_->layout(), steps_ * global_batch_, micro_batch);
    std::vector<std::int32_t> tokens, labels;
    for (std::int64_t sample = first; sample < first + shape.samples; ++sample) {
      const RandomKey sample_key = derive(key("tokens"), static_cast<std::uint64_t>(sample));
      const auto token = [&](std::int64_t i) {
        return static_cast<std::int32_t>(uniform(sample_key, static_cast<std::uint64_t>(i)) *
                                         static_cast<double>(run_.model.vocab_size));
      };
      for (std::int64_t i = 0; i < shape.sequence; ++i) tokens.push_back(token(i));
      for (std::int64_t i = 0; i < shape.sequence; ++i) labels.push_back(token(i + 1));
    }
    Batch made = make_batch(tokens, labels, shape.samples, shape.sequence, DocumentOptions{});
    made.first_sample = first;
    return made;
  }

  World& world_;
  RunConfig run_;
  std::int64_t global_batch_ = 0;
  std::int64_t steps_ = 0;
  double waited_ = 0.0;
  TimedBackend* backend_ = nullptr;  // the engine's
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Optimizer> optimizer_;
};

// This rank's speed while all ranks do the same.
double matmul_speed(Communicator& ranks, const Choices& choices) {
  barrier(ranks);
  return measure_matmul_flops(precision_of(choices.dtype).compute, choices.threads);
}

// The mean over the ranks, longest first.
std::vector<OpSeconds> over_ranks(Communicator& ranks, const std::vector<OpSeconds>& mine) {
  nlohmann::json rows = nlohmann::json::array();
  for (const OpSeconds& op : mine) rows.push_back({op.name, op.calls, op.seconds, op.floor_seconds});
  const std::string text = rows.dump();
  std::map<std::string, OpSeconds> sums;
  for (const std::vector<std::byte>& bytes : gather_bytes(ranks, std::as_bytes(std::span(text)))) {
    const auto* begin = reinterpret_cast<const char*>(bytes.data());
    for (const nlohmann::json& row : nlohmann::json::parse(begin, begin + bytes.size())) {
      OpSeconds& sum = sums[row[0]];
      sum.name = row[0];
      sum.calls += row[1].get<double>() / ranks.size();
      sum.seconds += row[2].get<double>() / ranks.size();
      sum.floor_seconds += row[3].get<double>() / ranks.size();
    }
  }
  std::vector<OpSeconds> result;
  for (const auto& [name, sum] : sums) result.push_back(sum);
  std::stable_sort(result.begin(), result.end(), [](const OpSeconds& a, const OpSeconds& b) { return a.seconds > b.seconds; });
  return result;
}

}  // namespace

StepBenchmark bench_step(World& world, const RunConfig& run, int steps) {
  const Choices choices = choose(run.training, world);
  RandomTraining training(world, run, choices);
  Communicator& ranks = training.ranks();

  std::vector<double> matmul, seconds, observed;
  const double bandwidth = measure_memory_bandwidth(choices.threads);
  for (int i = 0; i < kWarmUpSteps; ++i) training.step();
  matmul.push_back(matmul_speed(ranks, choices));
  double own_seconds = 0.0, waited = 0.0;
  for (int i = 0; i < steps; ++i) {
    const double own = training.step();
    own_seconds += own;
    waited += training.waited_seconds();
    seconds.push_back(reduced(ranks, own, ReduceOp::max));
  }
  matmul.push_back(matmul_speed(ranks, choices));
  std::map<std::string, std::vector<double>> op_seconds;
  std::map<std::string, OpTotals> totals;  // of the last step: all count the same
  training.backend().measure(true);
  for (int i = 0; i < steps; ++i) {
    observed.push_back(training.step());
    totals = training.backend().take_totals();
    for (const auto& [name, op] : totals) op_seconds[name].push_back(op.seconds);
  }
  training.backend().measure(false);
  matmul.push_back(matmul_speed(ranks, choices));

  StepBenchmark result;
  result.ranks = world.size();
  result.threads = choices.threads;
  result.dtype = choices.dtype;
  result.tokens = training.tokens_per_step();
  result.elapsed_seconds = median(seconds);
  result.tokens_per_second = static_cast<double>(result.tokens) / result.elapsed_seconds;
  result.model_flops_per_token = model_flops_per_token(training.engine().layout().request.model, run.training.seq_length);
  result.achieved_flops = result.model_flops_per_token * result.tokens_per_second;
  result.matmul_flops = reduced(ranks, median(matmul), ReduceOp::sum);
  result.share_of_matmul = result.achieved_flops / result.matmul_flops;
  result.memory_bandwidth = reduced(ranks, bandwidth, ReduceOp::sum);
  for (const Arena::Segment& segment : training.engine().arena().segments()) result.peak_bytes += segment.reserved;
  result.peak_bytes = max_over(ranks, result.peak_bytes);
  const double share = waited / own_seconds;
  for (const std::vector<std::byte>& bytes : gather_bytes(ranks, std::as_bytes(std::span(&share, 1))))
    std::memcpy(&result.waiting_share.emplace_back(), bytes.data(), sizeof(double));
  result.observed_seconds = reduced(ranks, median(observed), ReduceOp::sum) / world.size();

  std::vector<OpSeconds> mine;
  for (const auto& [name, op] : totals)
    mine.push_back({name, static_cast<double>(op.calls), median(op_seconds[name]),
                    op.floor_seconds(median(matmul), bandwidth)});
  result.ops = over_ranks(ranks, mine);
  return result;
}

}  // namespace headwater
