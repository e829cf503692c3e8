#include "manifest_file.h"

#include "headwater/base/error.h"
#include "headwater/base/hash.h"

#include <filesystem>

namespace headwater {
namespace {

std::string hash_line(const std::string& text) {
  ContentHash hash;
  hash.add(std::as_bytes(std::span(text)));
  return fmt::format("{:016x}\n", hash.digest());
}

void write_synced(const Path& path, const std::string& text) {
  OutputFile out = OutputFile::create(path);
  out.write(std::string_view(text));
  out.sync();
  out.close();
}

}  // namespace

void write_manifest(const Path& folder, const Manifest& manifest) {
  const std::string text = manifest_text(manifest);
  write_synced(folder / kManifestName, text);
  write_synced(folder / kManifestHashName, hash_line(text));
}

bool manifest_intact(const Path& folder) {
  const Path manifest = folder / kManifestName, hash = folder / kManifestHashName;
  return std::filesystem::exists(manifest) && std::filesystem::exists(hash) &&
         read_text(hash) == hash_line(read_text(manifest));
}

Manifest read_manifest(const Path& folder) {
  const Path path = folder / kManifestName;
  if (!std::filesystem::exists(path))
    throw UserError("{} is no checkpoint: it has no {}", folder.string(), kManifestName);
  if (!manifest_intact(folder))
    throw UserError("{} is cut or altered: it does not agree with its checksum in {}", path.string(),
                    kManifestHashName);
  return parse_manifest(read_text(path), path.string());
}

}  // namespace headwater
