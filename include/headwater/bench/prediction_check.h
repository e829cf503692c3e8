#pragma once
// Compares the prediction of a step, and of each rank's share of it, with the measurement.
//
// Collective: every rank calls compare(), on its compute thread, and gets the same figures.

#include "headwater/bench/measured_costs.h"

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace headwater {

struct RankSeconds {
  double compute = 0.0;
  double waiting = 0.0;        // for transfers of the pipeline
  double communication = 0.0;  // of tensor ranks; sums at the end of the step, with waiting for the slowest
  double update = 0.0;
};

struct RankComparison {
  RankSeconds predicted, measured;
  std::int64_t predicted_bytes = 0, measured_bytes = 0;  // the arena's peak
};

struct PredictionCheck {
  std::string source;  // where the predicted costs come from
  // Seconds of a step. The measured ones are the median over the steps, of the slowest rank.
  double predicted_seconds = 0.0, measured_seconds = 0.0;
  double predicted_bubble = 0.0, measured_bubble = 0.0;
  std::vector<RankComparison> ranks;  // every rank of the world

  double error() const { return predicted_seconds / measured_seconds - 1.0; }
};

// `measured` are the times of this rank's steps; `source` says where the predicted costs come from.
PredictionCheck compare(Engine& engine, const StepTime& predicted, const std::string& source,
                        const std::vector<StepTimes>& measured);

std::string report(const PredictionCheck& check);  // for people
nlohmann::json to_json(const PredictionCheck& check);

}  // namespace headwater
