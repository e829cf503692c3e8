#pragma once
// The part of a manifest that each rank knows of its own files, as JSON: what ranks send to rank 0, and what
// the manifest says of all of them. Private to this room; pure.

#include "headwater/checkpoint/manifest.h"

#include <nlohmann/json_fwd.hpp>

#include <optional>

namespace headwater {

nlohmann::json contents_json(const Manifest& manifest);  // its files and states
// Adds what `contents` says to the manifest. UserError, naming `where`, where it is not of the form.
void add_contents(const nlohmann::json& contents, const std::string& where, Manifest& manifest);
// What is wrong between files, states and slices: one not covered, or covered twice; none where all is well.
std::optional<std::string> inconsistency(const Manifest& manifest);

}  // namespace headwater
