#pragma once
// A plan for people, and as the JSON that `headwater plan --json` prints.

#include "headwater/plan/simulate/plan.h"

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace headwater {

std::string report(const Plan& plan);
nlohmann::json to_json(const Plan& plan);

// The bytes that one device sends from one pipeline rank to another in a step.
struct LinkLoad {
  int from = 0, to = 0;
  bool between_nodes = false;
  double bytes = 0.0, busy_seconds = 0.0;
};
std::vector<LinkLoad> link_loads(const Plan& plan);

}  // namespace headwater
