#pragma once
// Files and states of a manifest as JSON. Each rank sends those of its own files to rank 0, and the manifest
// has those of all ranks.

#include "headwater/checkpoint/manifest.h"

#include <nlohmann/json_fwd.hpp>

#include <optional>

namespace headwater {

nlohmann::json contents_json(const Manifest& manifest);
// Adds the files and states in `contents` to the manifest. Throws UserError, which names `where`, if they
// are malformed.
void add_contents(const nlohmann::json& contents, const std::string& where, Manifest& manifest);
// Returns how files, states and slices contradict each other (an element that no slice holds, or two), or
// nothing.
std::optional<std::string> inconsistency(const Manifest& manifest);

}  // namespace headwater
