#pragma once
// manifest.json on disk, with its checksum beside it in manifest.xxh3.

#include "headwater/checkpoint/manifest.h"

namespace headwater {

inline constexpr const char* kManifestName = "manifest.json";
inline constexpr const char* kManifestHashName = "manifest.xxh3";

// Writes and syncs both files, not atomically: the folder that they are written to is renamed as a whole
// later.
void write_manifest(const Path& folder, const Manifest& manifest);
// Whether both files exist and the checksum is right.
bool manifest_intact(const Path& folder);
// Throws UserError if they are not intact, or if the manifest is wrong.
Manifest read_manifest(const Path& folder);

}  // namespace headwater
