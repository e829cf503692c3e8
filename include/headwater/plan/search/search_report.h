#pragma once
// The result of a search as text for people, and as the JSON that `headwater plan --search --json` prints.

#include "headwater/plan/search/search.h"

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace headwater {

std::string report(const SearchResult& result);
// The best plan's JSON with the search's own keys beside it.
nlohmann::json to_json(const SearchResult& result);

// Returns the keys that the search chose, as a config has them: {"parallel": {…}, "training":
// {"micro_batch_size": …}}.
nlohmann::json chosen_config(const Plan& plan);

}  // namespace headwater
