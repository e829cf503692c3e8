#include "headwater/config/config_changes.h"

#include "headwater/config/load_config.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace headwater {

std::vector<std::string> config_changes(const RunConfig& before, const RunConfig& after) {
  const nlohmann::json old_json = to_json(before), new_json = to_json(after);
  std::vector<std::string> changes;
  for (const auto& [section, keys] : new_json.items()) {
    if (section == "model") continue;
    for (const auto& [key, value] : keys.items()) {
      const nlohmann::json old_value = old_json.at(section).value(key, nlohmann::json());
      if (old_value != value)
        changes.push_back(fmt::format("{}.{}: {} -> {}", section, key, old_value.dump(), value.dump()));
    }
  }
  return changes;
}

}  // namespace headwater
