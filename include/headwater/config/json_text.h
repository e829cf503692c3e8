#pragma once
// Parses JSON as people write it: `//` comments are allowed, and a key that appears twice is an error.

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace headwater {

// Throws UserError "NAME:LINE:COLUMN: what is wrong", where `name` is the text's name.
nlohmann::json parse_json_text(const std::string& text, const std::string& name);

}  // namespace headwater
