#include "headwater/checkpoint/weight_source.h"

#include "headwater/base/error.h"
#include "headwater/checkpoint/checkpoint.h"
#include "headwater/checkpoint/save_folder.h"

#include "hf_folder.h"
#include "manifest_file.h"

#include <filesystem>

namespace headwater {

std::unique_ptr<WeightSource> open_weights(const Path& path) {
  namespace fs = std::filesystem;
  if (!fs::is_directory(path))
    throw UserError(
        "{} is not a folder; a Hugging Face folder, a checkpoint or a `save` folder was looked for",
        path.string());
  if (fs::exists(path / kManifestName)) return std::make_unique<Checkpoint>(path);
  if (fs::exists(path / "config.json")) return std::make_unique<HfFolder>(path);
  if (const std::optional<Path> newest = SaveFolder(path).newest())
    return std::make_unique<Checkpoint>(*newest);
  throw UserError(
      "{} holds no weights: neither {} (a checkpoint), nor config.json (a Hugging Face folder), nor "
      "latest or step-… (a `save` folder)",
      path.string(), kManifestName);
}

}  // namespace headwater
