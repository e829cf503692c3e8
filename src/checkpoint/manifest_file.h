#pragma once
// manifest.json on disk, with its own checksum beside it in manifest.xxh3. Private to this room.

#include "headwater/checkpoint/manifest.h"

namespace headwater {

inline constexpr const char* kManifestName = "manifest.json";
inline constexpr const char* kManifestHashName = "manifest.xxh3";

// Both files, synced; atomicity is that of the folder they go to.
void write_manifest(const Path& folder, const Manifest& manifest);
// Whether the two files are there and belong together.
bool manifest_intact(const Path& folder);
// UserError where they are not, or the manifest is wrong.
Manifest read_manifest(const Path& folder);

}  // namespace headwater
