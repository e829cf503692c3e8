#include "headwater/bench/prediction_check.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>
#include <iterator>

namespace headwater {
namespace {

constexpr double kMiB = 1048576.0;

// The message by which a rank tells the others. It is sent as it lies in memory.
struct RankReport {
  RankComparison comparison;
  double step = 0.0, schedule = 0.0, busy = 0.0;
};

template <class Value>
double median_of(const std::vector<StepTimes>& steps, Value value) {
  std::vector<double> values;
  for (const StepTimes& step : steps) values.push_back(value(step));
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

RankSeconds predicted_of(const StepTime& step, std::size_t pipeline_rank) {
  const RankTimes& rank = step.pipeline.ranks[pipeline_rank];
  RankSeconds seconds;
  seconds.compute = rank.busy.compute + rank.busy.recompute;
  seconds.waiting = rank.waiting;
  seconds.update = step.ranks[pipeline_rank].optimizer;
  seconds.communication = step.seconds - rank.end - seconds.update + rank.busy.tensor_communication;
  return seconds;
}

RankSeconds measured_of(const std::vector<StepTimes>& steps) {
  RankSeconds seconds;
  seconds.compute = median_of(steps, [](const StepTimes& t) { return t.execution.compute; });
  seconds.waiting = median_of(steps, [](const StepTimes& t) { return t.execution.waiting; });
  seconds.communication = median_of(steps, [](const StepTimes& t) { return t.execution.tensor + t.reduce; });
  seconds.update = median_of(steps, [](const StepTimes& t) { return t.update; });
  return seconds;
}

nlohmann::json json_of(const RankSeconds& s) {
  return {{"compute", s.compute},
          {"waiting", s.waiting},
          {"communication", s.communication},
          {"update", s.update}};
}

}  // namespace

PredictionCheck compare(Engine& engine, const StepTime& predicted, const std::string& source,
                        const std::vector<StepTimes>& measured) {
  RankReport mine;
  mine.comparison.predicted =
      predicted_of(predicted, static_cast<std::size_t>(engine.layout().pipeline_rank));
  mine.comparison.measured = measured_of(measured);
  mine.comparison.predicted_bytes = engine.layout().bytes();
  for (const Arena::Segment& segment : engine.arena().segments())
    mine.comparison.measured_bytes += segment.taken;
  mine.step = median_of(measured, [](const StepTimes& t) { return t.total(); });
  mine.busy =
      median_of(measured, [](const StepTimes& t) { return t.execution.compute + t.execution.tensor; });
  mine.schedule = median_of(measured, [](const StepTimes& t) { return t.schedule; });

  PredictionCheck check;
  check.source = source;
  check.predicted_seconds = predicted.seconds;
  check.predicted_bubble = predicted.bubble_fraction;
  double busy = 0.0, schedule = 0.0;
  for (const std::vector<std::byte>& bytes :
       gather_bytes(engine.world_group(), std::as_bytes(std::span(&mine, 1)))) {
    RankReport report;
    std::memcpy(&report, bytes.data(), sizeof report);
    check.ranks.push_back(report.comparison);
    check.measured_seconds = std::max(check.measured_seconds, report.step);
    schedule = std::max(schedule, report.schedule);
    busy += report.busy;
  }
  check.measured_bubble = 1.0 - busy / (schedule * static_cast<double>(check.ranks.size()));
  return check;
}

std::string report(const PredictionCheck& check) {
  std::string text = fmt::format(
      "prediction ({}) | measurement\n"
      "  step {:.3f} | {:.3f} ms, {:+.1f} %; bubble {:.1f} | {:.1f} %\n"
      "  rank      compute ms            waiting ms      communication ms         update ms           arena "
      "MiB\n",
      check.source, check.predicted_seconds * 1e3, check.measured_seconds * 1e3, 100.0 * check.error(),
      100.0 * check.predicted_bubble, 100.0 * check.measured_bubble);
  constexpr std::size_t kShown = 16;
  for (std::size_t r = 0; r < std::min(kShown, check.ranks.size()); ++r) {
    const RankComparison& rank = check.ranks[r];
    fmt::format_to(std::back_inserter(text), "  {:>4}", r);
    for (const double RankSeconds::*part :
         {&RankSeconds::compute, &RankSeconds::waiting, &RankSeconds::communication, &RankSeconds::update})
      fmt::format_to(std::back_inserter(text), "{:>10.2f} | {:<9.2f}", rank.predicted.*part * 1e3,
                     rank.measured.*part * 1e3);
    fmt::format_to(std::back_inserter(text), "{:>10.2f} | {:.2f}\n",
                   static_cast<double>(rank.predicted_bytes) / kMiB,
                   static_cast<double>(rank.measured_bytes) / kMiB);
  }
  if (check.ranks.size() > kShown) text += fmt::format("  and {} more ranks\n", check.ranks.size() - kShown);
  return text;
}

nlohmann::json to_json(const PredictionCheck& check) {
  nlohmann::json ranks = nlohmann::json::array();
  for (const RankComparison& rank : check.ranks)
    ranks.push_back({{"predicted", json_of(rank.predicted)},
                     {"measured", json_of(rank.measured)},
                     {"predicted_bytes", rank.predicted_bytes},
                     {"measured_bytes", rank.measured_bytes}});
  return {{"source", check.source},
          {"predicted_seconds", check.predicted_seconds},
          {"measured_seconds", check.measured_seconds},
          {"error", check.error()},
          {"predicted_bubble", check.predicted_bubble},
          {"measured_bubble", check.measured_bubble},
          {"ranks", ranks}};
}

}  // namespace headwater
