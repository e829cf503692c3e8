#pragma once
// The first steps of a run held against their prediction, once: what a step takes, and what each rank's part
// of it is. With parallel.cluster the prediction is the planner's and there before the first step; without, a
// few steps are timed part by part and those after them predicted. Where the check is over nothing is
// recorded any more. On a GPU, which runs behind the host that would time it, nothing is.
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

  // The planner's figures for people; empty where there are none yet.
  std::string announcement() const override;
  // Where the step that comes now, of the full batch, is to be recorded; null: nowhere.
  Recording* next() override;
  // The step that next() was asked for is done. Gives the table when it was the last one.
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
  std::string timeline_;  // the file that is asked for
  std::optional<Prediction> prediction_;
  int steps_ = 0;
  bool done_ = false;
  CostSamples samples_;
  std::vector<StepTimes> measured_;
  std::optional<Recording> recording_;  // of the step that goes on
};

// Makes a StepCheck: what a Trainer is given.
std::unique_ptr<StepObserver> make_step_check(World& world, Engine& engine, const RunConfig& run,
                                              const RunSettings& settings);

}  // namespace headwater
