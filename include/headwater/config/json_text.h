#pragma once
// JSON as people write it: // comments are allowed, a key that appears twice is not. Pure; any thread may
// call.

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace headwater {

// `name` names the text in errors: UserError "NAME:LINE:COLUMN: what is wrong".
nlohmann::json parse_json_text(const std::string& text, const std::string& name);

}  // namespace headwater
