#pragma once
// Named model shapes: Yuan 2.0 as published (docs/lfa.md), and small ones for a laptop.

#include "headwater/config/run_config.h"

#include <string>
#include <vector>

namespace headwater {

std::vector<std::string> preset_names();
// Throws UserError, which names the known presets, if there is none of this name.
ModelConfig preset(const std::string& name);

}  // namespace headwater
