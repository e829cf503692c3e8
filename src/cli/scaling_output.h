#pragma once
// The output of a scaling measurement: what it prints, and the files that it writes.

#include "scaling.h"

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace headwater {

struct ScalingReport {
  std::vector<ScalingLayout> layouts;
  std::vector<ScalingRow> rows;
  std::vector<std::string> notes;  // what a reader must know to judge the figures
};

std::string scaling_table(const ScalingReport& report);
std::string scaling_csv(const ScalingReport& report);
nlohmann::json scaling_json(const ScalingReport& report);
// Draws the efficiency over the number of ranks, with a line for each kind and layout.
std::string scaling_svg(const ScalingReport& report);

}  // namespace headwater
