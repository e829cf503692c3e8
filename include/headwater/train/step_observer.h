#pragma once
// Who watches the steps of a run from beside the loop: a trainer asks it before each step whether to record
// it, and tells it afterwards how long it took.
//
// Collective: every rank has one, and calls the same functions in the same order, on its compute thread.

#include "headwater/run/run_settings.h"
#include "headwater/train/recording.h"
#include "headwater/train/training_step.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace headwater {

class StepObserver {
 public:
  virtual ~StepObserver() = default;

  // Lines for people before the first step; empty where there is nothing to say.
  virtual std::string announcement() const = 0;
  // Returns where to record the step that comes now, which takes the full batch; null: nowhere. The recording
  // must live until add().
  virtual Recording* next() = 0;
  // Takes the times of the step for which next() was called. Returns lines for people where there are some.
  virtual std::optional<std::string> add(const StepTimes& times) = 0;
};

// Makes the observer of a run, once its engine is there. Collective.
using MakeStepObserver = std::function<std::unique_ptr<StepObserver>(
    World& world, Engine& engine, const RunConfig& run, const RunSettings& settings)>;

}  // namespace headwater
