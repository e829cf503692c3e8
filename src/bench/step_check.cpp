#include "headwater/bench/step_check.h"

#include "headwater/base/file.h"
#include "headwater/plan/simulate/plan.h"

#include "measured_timeline.h"

#include <fmt/format.h>

namespace headwater {

StepCheck::StepCheck(World& world, Engine& engine, const RunConfig& run, const RunSettings& settings)
    : world_(world),
      engine_(engine),
      timeline_(run.training.timeline),
      done_(engine.backend().device().kind != Device::Kind::cpu) {
  if (run.parallel.cluster.empty()) return;
  const RankLayout& layout = engine.layout();
  PlanRequest request{layout.request, settings.dtype, read_cluster(run.parallel.cluster), world.size()};
  Plan plan = predict(request, layout.schedules, unit_costs(request, layout.grid));
  prediction_ = {fmt::format("parallel.cluster {}", run.parallel.cluster), std::move(plan.costs),
                 std::move(plan.time)};
}

std::string StepCheck::announcement() const {
  if (!prediction_) return {};
  return fmt::format("predicted ({}): a step takes {:.3f} ms, bubble {:.1f} %", prediction_->source,
                     prediction_->time.seconds * 1e3, 100.0 * prediction_->time.bubble_fraction);
}

Recording* StepCheck::next() {
  if (done_) return nullptr;
  ++steps_;
  recording_.reset();
  if (timing() || (last() && !timeline_.empty())) recording_.emplace();
  return recording_ ? &*recording_ : nullptr;
}

std::optional<std::string> StepCheck::add(const StepTimes& times) {
  if (done_ || steps_ <= kWarmUp) return {};
  if (timing()) {
    samples_.times.push_back(times);
    samples_.spans.insert(samples_.spans.end(), recording_->spans().begin(), recording_->spans().end());
    if (static_cast<int>(samples_.times.size()) == kTimed) predict_from_samples();
    return {};
  }
  measured_.push_back(times);
  if (static_cast<int>(measured_.size()) < kMeasured) return {};
  done_ = true;
  if (!timeline_.empty()) write_timeline();
  return report(compare(engine_, prediction_->time, prediction_->source, measured_));
}

void StepCheck::predict_from_samples() {
  StepCosts costs = measured_costs(engine_, samples_, measure_pipeline_network(world_, engine_));
  StepTime time = time_step(engine_.layout().schedule, costs);
  prediction_ = {fmt::format("parts timed in {} steps", kTimed), std::move(costs), std::move(time)};
  samples_ = {};
}

void StepCheck::write_timeline() {
  const Timeline measured = measured_timeline(engine_, *recording_);
  if (world_.rank() != 0) return;
  write_text_atomically(timeline_,
                        chrome_trace({timeline_of(prediction_->time, prediction_->costs), measured}));
}

std::unique_ptr<StepObserver> make_step_check(World& world, Engine& engine, const RunConfig& run,
                                              const RunSettings& settings) {
  return std::make_unique<StepCheck>(world, engine, run, settings);
}

}  // namespace headwater
