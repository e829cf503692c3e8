#pragma once
// What a search found, for people, and as the JSON that `headwater plan --search --json` prints.

#include "headwater/plan/search/search.h"

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace headwater {

std::string report(const SearchResult& result);
nlohmann::json to_json(const SearchResult& result);  // that of the best plan, and the search's own keys

// The keys that the search chose, as a config has them: {"parallel": {…}, "training": {"micro_batch_size":
// …}}.
nlohmann::json chosen_config(const Plan& plan);

}  // namespace headwater
