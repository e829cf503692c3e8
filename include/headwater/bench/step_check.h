#pragma once
// Compares the first steps of a run with their prediction, once: the seconds of a step, and each rank's part
// of them. With parallel.cluster the prediction is the planner's, and there before the first step. Without
// it, a few steps are timed part by part, and the steps after them are predicted from that. Once the check is
// over it records nothing more. On a GPU there is no check, because the host cannot time what runs behind it.
//
// Collective: every rank has one, and calls the same functions in the same order, on its compute thread.

#include "headwater/bench/prediction_check.h"
#include "headwater/run/run_settings.h"
#include "headwater/train/step_observer.h"

#include <optional>

namespace headwater {

class StepCheck : public StepObserver {
 public:
  StepCheck(World& world, Engine& engine, const RunConfig& run, const RunSettings& settings);

  // The planner's figures; empty where the prediction comes later.
  std::string announcement() const override;
  Recording* next() override;
  // Returns the table after the last step of the check.
  std::optional<std::string> add(const StepTimes& times) override;

 private:
  struct Prediction {
    std::string source;
    StepCosts costs;
    StepTime time;
  };
  bool timing() const { return !prediction_ && steps_ > kWarmUp; }
  bool last() const { return static_cast<int>(measured_.size()) == kMeasured - 1; }
  void predict_from_samples();
  void write_timeline();

  static constexpr int kWarmUp = 1, kTimed = 3, kMeasured = 5;
  World& world_;
  Engine& engine_;
  std::string timeline_;  // training.timeline: the file to write; empty: none
  std::optional<Prediction> prediction_;
  int steps_ = 0;
  bool done_ = false;
  CostSamples samples_;
  std::vector<StepTimes> measured_;
  std::optional<Recording> recording_;  // of the step that is being made
};

// Makes a StepCheck, in the form that a Trainer takes.
std::unique_ptr<StepObserver> make_step_check(World& world, Engine& engine, const RunConfig& run,
                                              const RunSettings& settings);

}  // namespace headwater
