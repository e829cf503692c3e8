#include "headwater/bench/bench_step.h"

#include "headwater/backend/device_speed.h"
#include "headwater/backend/make_backend.h"
#include "headwater/base/bytes.h"
#include "headwater/nn/flops.h"

#include "measured_timeline.h"
#include "random_training.h"

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

// Measures this rank's speed while all ranks do the same.
double matmul_speed(RandomTraining& training, const RunSettings& settings) {
  barrier(training.ranks());
  return measure_matmul_flops(training.backend(), precision_of(settings.dtype).compute, settings.threads);
}

// Returns the mean over the ranks, the longest op first.
std::vector<OpSeconds> over_ranks(Communicator& ranks, const std::vector<OpSeconds>& mine) {
  nlohmann::json rows = nlohmann::json::array();
  for (const OpSeconds& op : mine) rows.push_back({op.name, op.calls, op.seconds, op.floor_seconds});
  const std::string text = rows.dump();
  std::map<std::string, OpSeconds> sums;
  for (const std::vector<std::byte>& bytes : gather_bytes(ranks, as_bytes(text))) {
    for (const nlohmann::json& row : nlohmann::json::parse(as_text(bytes))) {
      OpSeconds& sum = sums[row[0]];
      sum.name = row[0];
      sum.calls += row[1].get<double>() / ranks.size();
      sum.seconds += row[2].get<double>() / ranks.size();
      sum.floor_seconds += row[3].get<double>() / ranks.size();
    }
  }
  std::vector<OpSeconds> result;
  for (const auto& [name, sum] : sums) result.push_back(sum);
  std::stable_sort(result.begin(), result.end(),
                   [](const OpSeconds& a, const OpSeconds& b) { return a.seconds > b.seconds; });
  return result;
}

}  // namespace

bool can_predict(const RunSettings& settings) { return settings.device.kind == Device::Kind::cpu; }

StepBenchmark bench_step(World& world, const RunConfig& run, int steps) {
  const RunSettings settings = choose_settings(run.training, world);
  const bool predicts = can_predict(settings);
  RandomTraining training(world, run, settings);
  Communicator& ranks = training.ranks();

  std::vector<double> matmul, seconds, observed;
  const double bandwidth = measure_memory_bandwidth(training.backend(), settings.threads);
  for (int i = 0; i < kWarmUpSteps; ++i) training.step();
  matmul.push_back(matmul_speed(training, settings));
  PipelineNetwork network;
  if (predicts) network = measure_pipeline_network(world, training.engine());
  CostSamples samples;
  std::vector<StepTimes> times;
  Timeline measured;
  double own_seconds = 0.0, waited = 0.0;
  for (int i = 0; i < steps; ++i) {
    // Parts and steps are timed in turn, so that whatever else the machine does slows down both.
    if (predicts) training.time_parts(samples);
    Recording recording;
    times.push_back(training.step(predicts ? &recording : nullptr));
    own_seconds += times.back().total();
    waited += times.back().waited;
    seconds.push_back(reduced(ranks, times.back().total(), ReduceOp::max));
    if (predicts && i + 1 == steps) measured = measured_timeline(training.engine(), recording);
  }
  matmul.push_back(matmul_speed(training, settings));
  std::map<std::string, std::vector<double>> op_seconds;
  std::map<std::string, OpTotals> totals;  // of the last step; every step counts the same
  training.backend().measure(true);
  for (int i = 0; i < steps; ++i) {
    observed.push_back(training.step().total());
    totals = training.backend().take_totals();
    for (const auto& [name, op] : totals) op_seconds[name].push_back(op.seconds);
  }
  training.backend().measure(false);
  matmul.push_back(matmul_speed(training, settings));

  StepBenchmark result;
  result.device = identity_of(settings.device).name;
  result.ranks = world.size();
  result.threads = settings.threads;
  result.dtype = settings.dtype;
  result.tokens = training.tokens_per_step();
  result.elapsed_seconds = median(seconds);
  result.tokens_per_second = static_cast<double>(result.tokens) / result.elapsed_seconds;
  result.model_flops_per_token =
      model_flops_per_token(training.engine().layout().request.model, run.training.seq_length);
  result.achieved_flops = result.model_flops_per_token * result.tokens_per_second;
  result.matmul_flops = reduced(ranks, median(matmul), ReduceOp::sum);
  result.share_of_matmul = result.achieved_flops / result.matmul_flops;
  if (settings.device.kind == Device::Kind::cuda) {
    result.peak = peak_of_all(ranks, settings);
    if (result.peak->flops) result.mfu = result.achieved_flops / *result.peak->flops;
  }
  result.memory_bandwidth = reduced(ranks, bandwidth, ReduceOp::sum);
  for (const Arena::Segment& segment : training.engine().arena().segments())
    result.peak_bytes += segment.reserved;
  result.peak_bytes = max_over(ranks, result.peak_bytes);
  const double share = waited / own_seconds;
  for (const std::vector<std::byte>& bytes : gather_bytes(ranks, std::as_bytes(std::span(&share, 1))))
    std::memcpy(&result.waiting_share.emplace_back(), bytes.data(), sizeof(double));
  result.observed_seconds = reduced(ranks, median(observed), ReduceOp::sum) / world.size();

  if (predicts) {
    const StepCosts costs = measured_costs(training.engine(), samples, network);
    const StepTime predicted = time_step(training.engine().layout().schedule, costs);
    result.prediction = compare(training.engine(), predicted, "parts timed while all ranks compute", times);
    result.timelines = {timeline_of(predicted, costs), measured};
  }

  std::vector<OpSeconds> mine;
  for (const auto& [name, op] : totals)
    mine.push_back({name, static_cast<double>(op.calls), median(op_seconds[name]),
                    op.floor_seconds(median(matmul), bandwidth)});
  result.ops = over_ranks(ranks, mine);
  return result;
}

}  // namespace headwater
