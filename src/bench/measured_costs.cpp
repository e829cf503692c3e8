#include "headwater/bench/measured_costs.h"

#include "headwater/base/error.h"
#include "headwater/comm/link_speed.h"

#include <algorithm>
#include <array>
#include <limits>
#include <span>

namespace headwater {
namespace {

constexpr std::size_t kKinds = 4;  // the kinds of computes, which are the first of SpanKind

double median(std::vector<double> values) {
  if (values.empty()) return 0.0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double max_over_ranks(Communicator& group, double value) {
  group.all_reduce(TensorView(&value, DType::f64, {1}), ReduceOp::max).wait();
  return value;
}

// Returns the seconds of one pass of `kind` on `stage`: the median over the steps of the mean over the passes
// of a step. (A step is the sum of its passes, so that their mean is what predicts it.) Every step must have
// the same number of spans. Returns −1 where the stage does not lie on this rank.
double seconds_of(const CostSamples& samples, int stage, std::size_t kind) {
  const std::size_t steps = samples.times.size(), each = samples.spans.size() / steps;
  std::vector<double> means;
  for (std::size_t step = 0; step < steps; ++step) {
    double sum = 0.0;
    int passes = 0;
    for (const Span& span : std::span(samples.spans).subspan(step * each, each)) {
      if (span.stage != stage || static_cast<std::size_t>(span.kind) != kind) continue;
      sum += span.end - span.begin;
      ++passes;
    }
    if (passes > 0) means.push_back(sum / passes);
  }
  return means.empty() ? -1.0 : median(std::move(means));
}

template <class Value>
double median_of(const std::vector<StepTimes>& times, Value value) {
  std::vector<double> seconds;
  for (const StepTimes& step : times) seconds.push_back(value(step));
  return median(std::move(seconds));
}

LinkFigures slowest(Communicator& ranks, const LinkFigures& mine) {
  LinkFigures figures;
  figures.bandwidth = 1.0 / max_over_ranks(ranks, 1.0 / mine.bandwidth);
  figures.latency_seconds = max_over_ranks(ranks, mine.latency_seconds);
  return figures;
}

}  // namespace

PipelineNetwork measure_pipeline_network(World& world, Engine& engine) {
  const RankLayout& layout = engine.layout();
  const RankLayoutRequest& request = layout.request;
  const std::vector<int> stages = layout.grid.group(layout.rank, {Axis::pipeline});
  const int count = static_cast<int>(stages.size()), here = layout.pipeline_rank;
  PipelineNetwork network;
  const std::int64_t bytes = layout.sharding.local_tokens(request.batch.tokens()) * request.model.hidden *
                             static_cast<std::int64_t>(size_of(request.precision.compute));
  network.message_bytes = static_cast<double>(bytes);
  network.between_nodes.resize(static_cast<std::size_t>(count * count));
  for (int a = 0; a < count; ++a)
    for (int b = 0; b < count; ++b)
      network.between_nodes[static_cast<std::size_t>(a * count + b)] =
          world.host(stages[static_cast<std::size_t>(a)]) != world.host(stages[static_cast<std::size_t>(b)]);

  // Measures the pairs (0, 1), (2, 3), … at once, then (1, 2), (3, 4), …
  LinkFigures inside, between;
  for (const int first : {0, 1}) {
    barrier(engine.world_group());
    const int lower = (here - first) % 2 == 0 ? here : here - 1;
    if (lower < first || lower + 1 >= count) continue;
    const LinkSpeed speed = measure_link(*world.group("link", {stages[static_cast<std::size_t>(lower)],
                                                               stages[static_cast<std::size_t>(lower + 1)]}),
                                         {bytes, 5, 11});
    LinkFigures& slower = network.crosses(lower, lower + 1, count) ? between : inside;
    // The time of the large message contains the latency.
    const double seconds =
        std::max(static_cast<double>(bytes) / speed.bandwidth - speed.latency_seconds, 1e-9);
    slower.bandwidth = std::min(slower.bandwidth, static_cast<double>(bytes) / seconds);
    slower.latency_seconds = std::max(slower.latency_seconds, speed.latency_seconds);
  }
  network.intra_node = slowest(engine.world_group(), inside);
  network.inter_node = slowest(engine.world_group(), between);
  return network;
}

StepCosts measured_costs(Engine& engine, const CostSamples& samples, const PipelineNetwork& network) {
  HW_CHECK(!samples.times.empty(), "costs of no step");
  Communicator& ranks = engine.world_group();
  StepCosts costs;
  costs.network = network;

  // The share of the time in blocks in which a rank waits for the ranks that share them.
  const double blocks =
      median_of(samples.times, [](const StepTimes& t) { return t.execution.compute + t.execution.tensor; });
  const double tensor = median_of(samples.times, [](const StepTimes& t) { return t.execution.tensor; });
  const double share = max_over_ranks(ranks, blocks > 0.0 ? tensor / blocks : 0.0);
  const auto parts = [&](double seconds) {
    return ActionSeconds{seconds * (1.0 - share), 0.0, seconds * share};
  };

  for (int stage = 0; stage < engine.layout().placement.stages(); ++stage) {
    std::array<double, kKinds> seconds{};
    for (std::size_t kind = 0; kind < kKinds; ++kind)
      seconds[kind] = std::max(0.0, max_over_ranks(ranks, seconds_of(samples, stage, kind)));
    PassSeconds passes;
    passes.forward = parts(seconds[static_cast<std::size_t>(SpanKind::forward)]);
    passes.input_gradient = parts(seconds[static_cast<std::size_t>(SpanKind::backward)] +
                                  seconds[static_cast<std::size_t>(SpanKind::input_gradient)]);
    passes.weight_gradient = parts(seconds[static_cast<std::size_t>(SpanKind::weight_gradient)]);
    costs.stages.push_back(passes);
  }

  // The rank that came last did not wait for others, so that its time is that of the sums themselves.
  EndOfStep end;
  end.norm = -max_over_ranks(ranks, -median_of(samples.times, [](const StepTimes& t) { return t.reduce; }));
  end.update = max_over_ranks(ranks, median_of(samples.times, [](const StepTimes& t) { return t.update; }));
  costs.ends.assign(static_cast<std::size_t>(engine.layout().placement.ranks()), end);
  return costs;
}

LoweredSchedule without_transfers(const LoweredSchedule& schedule) {
  LoweredSchedule alone = schedule;
  for (RankProgram& program : alone.ranks)
    std::erase_if(program.instructions,
                  [](const Instruction& i) { return i.kind != Instruction::Kind::compute; });
  return alone;
}

}  // namespace headwater
